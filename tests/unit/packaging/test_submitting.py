"""Which training job a document is, and what of it cannot be done here (M-68, M-82)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from headwater import packaging
from headwater.packaging import submitting
from headwater.packaging.local import LocalFileRefused
from headwater.packaging.submitting import CannotTrainHere
from tests.unit.packaging.documents import EXAMPLES, changed

HERE: dict[str, Any] = {
    "name": "Digits, small",
    "author": {"name": "Ada", "email": "ada@example.org"},
    "framework": {"name": "pytorch", "runtimes": {"name": "python", "version": "3.11"}},
    "train": {
        "trainable": True,
        "model_source": {"initial_model": {"data_store": "here"}, "initial_model_local": {"path": "code"}},
        "model_training_results": {"trained_model": {"data_store": "here", "path": "digits"}},
        "data_source": {"training_data": {"data_store": "here", "path": "digits-tensors@v1.0.0"}},
        "execution": {
            "command": "python3 train.py --name 'small cnn'",
            "compute_configuration": {"name": "local", "nodes": 2},
        },
        "training_params": [{"epochs": 3}, {"optimizer": {"name": "adam", "betas": [0.9, 0.99]}}, {"seed": None}],
    },
    "data_stores": [{"name": "here", "type": "headwater"}],
}


CODE = "train.model_source.initial_model_local"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print(1)")
    (tmp_path / "rows").mkdir()
    return tmp_path


def plan(text: str, folder: Path) -> submitting.Plan:
    return submitting.plan(packaging.read(text), folder)


def test_a_package_is_a_job(folder: Path) -> None:
    found = plan(yaml.safe_dump(HERE), folder)
    assert (found.code, found.command) == (folder / "code", ("train.py", "--name", "small cnn"))
    assert (found.dataset, found.rows, found.model) == ("digits-tensors@v1.0.0", None, "digits")
    assert (found.workers, found.launcher) == (2, "local")
    assert found.parameters == {"epochs": 3, "optimizer.name": "adam", "optimizer.betas": "[0.9, 0.99]"}


def test_rows_beside_the_document_become_the_dataset_first(folder: Path) -> None:
    text = changed("train.data_source.training_data_local", {"path": "rows"}, HERE)
    found = plan(text, folder)
    assert (found.dataset, found.rows) == ("digits-tensors", folder / "rows")


@pytest.mark.parametrize(
    ("path", "value", "named", "message"),
    [
        ("train.trainable", False, "", "is not true"),
        ("framework.runtimes", {"name": "R", "version": "4.3"}, "", "is R4.3, and workers run in Python 3"),
        ("framework.runtimes.version", "2.7", "framework.runtimes", "is python2.7, and workers run in Python 3"),
        ("train.data_source.training_data_url", "https://x.example/rows", "", "is not fetched"),
        ("train.mount_type", "mount_cos", "", "is not done here"),
        ("train.training_container_image", {"container_image_url": "tf:1"}, "", "is not run here"),
        (
            "train.evaluation_metrics",
            {"type": "tensorboard", "in": "/logs"},
            "train.evaluation_metrics.type",
            "must be",
        ),
        ("process", [{"name": "training_post_process"}], "process[0]", "training_post_process is not run here"),
        ("train.model_source.initial_model_local", None, f"{CODE}.path", "must name the code"),
        ("train.execution.command", "python3 train.py ${DATA_DIR}/x", "", "needs a shell"),
        ("train.execution.command", "train.py | tee log", "", "needs a shell"),
        ("train.execution.command", "train.py && rm -r /", "", "needs a shell"),
        ("train.execution.command", "train.py `id`", "", "needs a shell"),
        ("train.execution.command", "train.py 'x", "", "is no command"),
        ("train.execution.command", "other.py", "", "runs other.py, which is not in code"),
        ("train.execution.compute_configuration.name", "k80", "", "is k80, a size of another platform"),
        (
            "train.data_source.training_data",
            {"data_store": "s", "bucket": "b", "path": "p"},
            "train.data_source.training_data.data_store",
            "must be a data store of type headwater",
        ),
        (
            "train.model_training_results.trained_model",
            {"data_store": "here"},
            "train.model_training_results.trained_model.path",
            "must name it",
        ),
    ],
)
def test_what_cannot_be_done_here_is_refused_by_its_path(
    path: str, value: Any, named: str, message: str, folder: Path
) -> None:
    text = changed(path, value, HERE)
    with pytest.raises(CannotTrainHere) as caught:
        plan(text, folder)
    [(found, said)] = caught.value.violations
    assert found == (named or path)
    assert said.startswith(message)


def test_what_is_left_out_is_told(folder: Path) -> None:
    local = "train.model_training_results.trained_model_local"
    assert [local in warning for warning in plan(changed(local, {"path": "out"}, HERE), folder).warnings] == [True]
    required = RECIPE.replace("{version: 2.13.0}", "{requirement: [{numpy: 2.1.0}]}")
    assert ["framework.requirement: is not installed" in said for said in plan(required, folder).warnings] == [True]
    assert plan(RECIPE, folder).warnings == plan(yaml.safe_dump(HERE), folder).warnings == ()


def test_all_that_cannot_be_done_here_is_said_at_once(folder: Path) -> None:
    """MLSpec's own package is for other platforms."""
    text = (EXAMPLES / "model_packaging.yaml").read_text().replace("/local/1.0/assets/", "code")
    with pytest.raises(CannotTrainHere) as caught:
        plan(text, folder)
    assert {path for path, _ in caught.value.violations} == {
        "train.training_container_image",
        "train.mount_type",
        "train.evaluation_metrics.type",
        "process[0]",
        "train.data_source.training_data.data_store",
        "train.model_training_results.trained_model.data_store",
        "train.execution.compute_configuration.name",
        "train.execution.command",
    }
    assert "line 51: train.mount_type" in str(caught.value)


@pytest.mark.parametrize("path", ["../outside", "/etc", "none", "code/link"])
def test_code_outside_of_the_document_s_folder_is_refused(path: str, folder: Path) -> None:
    (folder.parent / "outside").mkdir(exist_ok=True)
    (folder / "code" / "link").symlink_to("/etc")
    with pytest.raises(LocalFileRefused, match=r"train\.model_source\.initial_model_local\.path"):
        plan(changed("train.model_source.initial_model_local.path", path, HERE), folder)


RECIPE = """\
framework: [{name: pytorch}, {version: 2.13.0}]
model: [{name: Digits CNN}, {source: code/train.py}]
dataset: [{name: digits}, {version: 1.0}]
data_process:
  - type: Image
  - padding: same
  - image_resize: {width: 8, height: 8}
model_architecture:
  - fully_connected_layer: 64
  - dropout: 0.5
training_params:
  - learning_rate: 1e-3
  - train_op:
"""


def test_six_sections_are_a_job(folder: Path) -> None:
    """M-82: one file is enough to train the same again."""
    found = plan(RECIPE, folder)
    assert (found.code, found.command) == (folder / "code", ("train.py",))
    assert (found.dataset, found.model) == ("digits@v1.0.0", "digits-cnn")
    assert found.parameters == {
        "learning_rate": 0.001,
        "data_process.type": "Image",
        "data_process.padding": "same",
        "data_process.image_resize.width": 8,
        "data_process.image_resize.height": 8,
        "model_architecture.fully_connected_layer": 64,
        "model_architecture.dropout": 0.5,
    }


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("{source: code/train.py}", "{source: https://example.org/train.py}", "model.source"),
        ("{source: code/train.py}", "{creator: me}", "model.source"),
        ("{version: 2.13.0}", "{runtime: python2.7}", "framework.runtime"),
        ("{version: 1.0}", "{version: 1.0}, {source: dataset.zip}", "dataset.source"),
    ],
)
def test_a_recipe_that_would_have_to_be_fetched_is_refused(old: str, new: str, named: str, folder: Path) -> None:
    with pytest.raises(CannotTrainHere) as caught:
        plan(RECIPE.replace(old, new), folder)
    assert [path for path, _ in caught.value.violations] == [named]


def test_a_record_has_nothing_to_train(folder: Path) -> None:
    with pytest.raises(CannotTrainHere, match="a record of an experiment has nothing to train"):
        plan((EXAMPLES / "experiment_example.yml").read_text(), folder)
