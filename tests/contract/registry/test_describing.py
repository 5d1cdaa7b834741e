"""What is said of a version, what its files say of it and what follows from both, over every store."""

import json
from collections.abc import Sequence

import pytest

from headwater.names import ArtifactName, LoggedModelName
from headwater.semver import SemVer
from services.registry.artifacts.artifacts import Artifacts
from services.registry.formats import Format
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, Direction, NewEdge, Role
from services.registry.logged_models.errors import LoggedModelNotFound
from services.registry.logged_models.logged_models import LoggedModels
from services.registry.logged_models.model import NewLoggedModel
from services.registry.models.lifecycle import Lifecycle
from services.registry.models.models import Models
from services.registry.origin import Origin
from services.registry.runs.runs import Runs
from services.registry.store import Store
from services.registry.versions.completeness import missing_metadata
from services.registry.versions.convert import version_to_proto
from services.registry.versions.errors import (
    BreakingChange,
    InvalidSemanticVersion,
    InvalidUserMetadata,
    MetadataConflict,
    ModelVersionNotFound,
    VersionNotGreater,
)
from services.registry.versions.model import ModelVersion, View
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import (
    DEFAULT,
    DIGITS,
    a_run,
    dataset_node,
    metrics,
    safetensors,
    upload,
    version_of,
)
from tests.data.models.onnx_files import linear_model


class Registrar:
    """Registers versions of ``digits``, each of one file."""

    def __init__(self, versions: Versions, artifacts: Artifacts, me: Origin) -> None:
        self._versions = versions
        self._artifacts = artifacts
        self._me = me

    async def add(self, content: bytes = b"weights", path: str = "model.bin", **said: object) -> ModelVersion:
        """The next version."""
        name: ArtifactName = await upload(self._artifacts, content, self._me)
        return await self._versions.create(DIGITS, version_of({path: name}, **said), self._me)  # type: ignore[arg-type]


@pytest.fixture
def registrar(versions: Versions, artifacts: Artifacts, me: Origin) -> Registrar:
    """See Registrar."""
    return Registrar(versions, artifacts, me)


async def test_a_version_is_found_by_its_semantic_version_too(
    registrar: Registrar, versions: Versions, models: Models
) -> None:
    """R-20, K-02: the name in answers is by number."""
    await registrar.add()
    made = await registrar.add(semantic_version="1.2.3")
    assert (str(made.semantic_version), str(made.name)) == ("v1.2.3", f"{DIGITS}/versions/2")
    assert await versions.get(DIGITS, SemVer(1, 2, 3)) == await versions.get(DIGITS, 2)
    assert (await models.get(DIGITS)).latest_semantic_version == SemVer(1, 2, 3)
    with pytest.raises(ModelVersionNotFound):
        await versions.get(DIGITS, SemVer(1, 2, 4))


@pytest.mark.parametrize("version", ["v1.2.3", "1.2.2", "v0.9.9"])
async def test_semantic_versions_only_rise(registrar: Registrar, versions: Versions, version: str) -> None:
    """R-20: refused, with the highest so far, and nothing is left behind."""
    await registrar.add(semantic_version="v1.2.3")
    with pytest.raises(VersionNotGreater, match=r"not higher than v1\.2\.3"):
        await registrar.add(semantic_version=version)
    assert (await registrar.add()).version == 2
    assert len((await versions.page(DIGITS, 10, "")).items) == 2


async def test_a_date_is_no_semantic_version(registrar: Registrar, models: Models) -> None:
    with pytest.raises(InvalidSemanticVersion):
        await registrar.add(semantic_version="20240115")
    assert not (await models.page(DEFAULT, 10, "")).items


async def test_a_change_that_breaks_callers_needs_a_major_step(registrar: Registrar) -> None:
    """M-80."""
    await registrar.add(linear_model(4, 3), "m.onnx", semantic_version="v1.0.0")
    with pytest.raises(BreakingChange, match="dimension 1 of input x is 5 and was 4") as refused:
        await registrar.add(linear_model(5, 3), "m.onnx", semantic_version="v1.1.0")
    assert refused.value.metadata["least"] == "v2.0.0"
    assert (await registrar.add(linear_model(4, 3), "m.onnx", semantic_version="v1.1.0")).breaking_changes == []
    major = await registrar.add(linear_model(5, 3), "m.onnx", semantic_version="v2.0.0")
    assert major.breaking_changes == ["dimension 1 of input x is 5 and was 4"]


async def test_where_no_semantic_version_promises_anything_a_break_is_told(
    registrar: Registrar, versions: Versions
) -> None:
    await registrar.add(linear_model(4, 3), "m.onnx", semantic_version="v1.0.0")
    await registrar.add(linear_model(4, 2), "m.onnx")
    broken = (await versions.get(DIGITS, 2, View.BASIC)).breaking_changes
    assert broken == ["dimension 1 of output y is 2 and was 3"]
    assert (await registrar.add(linear_model(4, 2), "m.onnx")).breaking_changes == []


async def test_what_files_say_is_taken_where_the_maker_says_nothing(registrar: Registrar) -> None:
    made = await registrar.add(linear_model(4, 3), "m.onnx", framework_name="", framework_version="", architecture="")
    assert made.format is Format.ONNX
    assert made.framework_name == made.files[0].facts.framework
    said = await registrar.add(linear_model(4, 3), "m.onnx", framework_name="jax", framework_version="")
    assert (said.framework_name, said.framework_version) == ("jax", "")


async def test_all_that_is_said_of_a_version_comes_back(registrar: Registrar, versions: Versions) -> None:
    made = await registrar.add(
        linear_model(4, 3),
        "m.onnx",
        framework_name="",
        architecture="",
        annotations={"note": "first"},
        tags=["vision", "small"],
        task="image-classification",
        source="s3://elsewhere/model",
        user_metadata={"framework": "pytorch", "architecture": "linear", "params": "15", "team": "vision"},
    )
    found = await versions.get(DIGITS, 1)
    assert version_to_proto(found) == version_to_proto(made)
    assert (found.framework_name, found.architecture) == ("pytorch", "linear")
    assert found.user_metadata == {"framework": "pytorch", "architecture": "linear", "params": 15, "team": "vision"}


async def test_wrong_user_metadata_is_refused_before_anything_is_made(registrar: Registrar, models: Models) -> None:
    """R-19."""
    for said, refusal in (({"params": "many"}, InvalidUserMetadata), ({"framework": "jax"}, MetadataConflict)):
        with pytest.raises(refusal, match=next(iter(said))):
            await registrar.add(user_metadata=said)
    assert not (await models.page(DEFAULT, 10, "")).items


async def test_a_basic_view_leaves_out_what_files_hold(registrar: Registrar, versions: Versions, store: Store) -> None:
    full = await registrar.add(safetensors(weight=(3, 4)), "m.safetensors")
    basic = await versions.get(DIGITS, 1, View.BASIC)
    listed = (await versions.page(DIGITS, 10, "", view=View.BASIC)).items
    assert version_to_proto(basic) == version_to_proto(full.basic())
    assert [version_to_proto(version) for version in listed] == [version_to_proto(basic)]
    [file] = basic.files
    assert (file.format, file.facts.tensors, basic.parameter_count) == (Format.SAFETENSORS, (), 12)


async def _know(lineages: Lineages, me: Origin, *versions: str) -> Sequence[str]:
    nodes = [dataset_node(version) for version in versions]
    await lineages.connect(DEFAULT, Connections(nodes, []), me)
    return [node.name for node in nodes]


@pytest.mark.parametrize(
    "said",
    [
        {"training_dataset": "digits-v1"},
        {"training_dataset": "digits@1.0.0"},
        {"training_dataset": "digits", "dataset_version": "v1.0.0"},
        {"dataset": "digits", "dataset_version": "1.0.0"},
        {"training_dataset": "digits-v1", "dataset": "digits"},
        {"dataset_version": "projects/default/datasets/digits/versions/v1.0.0"},
    ],
)
async def test_data_that_is_known_is_linked(
    registrar: Registrar, lineages: Lineages, me: Origin, said: dict[str, str]
) -> None:
    """K-03, R-24, R-25: from the version to the data, and back."""
    [data] = await _know(lineages, me, "v1.0.0")
    made = await registrar.add(user_metadata=said)
    assert (made.dataset_versions, made.dangling_links) == ([data], [])
    up = await lineages.get(str(made.name), Direction.UPSTREAM, 0)
    down = await lineages.get(data, Direction.DOWNSTREAM, 0)
    assert [(edge.first, edge.second, edge.role) for edge in up.edges] == [(data, str(made.name), Role.INPUT)]
    assert [str(node.name) for node in down.nodes] == [data, str(made.name)]


@pytest.mark.parametrize(
    ("said", "dangling"),
    [
        ({"training_dataset": "imagenet-v1"}, "training_dataset: imagenet-v1"),
        ({"dataset": "digits", "dataset_version": "v9.0.0"}, "dataset: digits@v9.0.0"),
        ({"dataset": "digits"}, "dataset: digits"),
        ({"training_dataset": "../digits@v1.0.0"}, "training_dataset: ../digits@v1.0.0"),
        ({"dataset_version": "v1.0.0"}, "dataset_version: v1.0.0"),
    ],
)
async def test_data_that_nobody_knows_is_told(
    registrar: Registrar, versions: Versions, lineages: Lineages, me: Origin, said: dict[str, str], dangling: str
) -> None:
    """K-03: a version is never guessed."""
    await _know(lineages, me, "v1.0.0")
    await registrar.add(user_metadata=said)
    found = await versions.get(DIGITS, 1, View.BASIC)
    assert (found.dataset_versions, found.dangling_links) == ([], [dangling])


async def test_data_given_by_name_is_linked_beside_that_of_the_run(
    registrar: Registrar, lineages: Lineages, runs: Runs, me: Origin
) -> None:
    first, second = await _know(lineages, me, "v1.0.0", "v1.1.0")
    run = await runs.create(DEFAULT, a_run(), me)
    edge = NewEdge(first, str(run.name), str(run.name), Role.INPUT)
    await lineages.connect(DEFAULT, Connections([], [edge]), me)
    nobody = second.replace("digits", "nobody")
    made = await registrar.add(run=run.name, dataset_versions=[first, second, nobody])
    assert made.dataset_versions == [first, second]
    assert made.dangling_links == [f"dataset_versions: {nobody}"]
    graph = await lineages.get(str(made.name), Direction.UPSTREAM, 0)
    assert sorted((edge.first, edge.second) for edge in graph.edges) == sorted(
        [(first, str(run.name)), (second, str(made.name)), (str(run.name), str(made.name))]
    )


async def test_two_versions_of_one_dataset_are_a_contradiction(registrar: Registrar) -> None:
    with pytest.raises(MetadataConflict, match="dataset_version"):
        await registrar.add(user_metadata={"training_dataset": "digits@v2.0.0", "dataset_version": "v1.0.0"})


async def test_what_is_missing_is_told_until_it_is_said(
    registrar: Registrar, runs: Runs, lineages: Lineages, me: Origin
) -> None:
    """R-26."""
    bare = await registrar.add(framework_name="", framework_version="", architecture="")
    assert missing_metadata(bare) == [
        "framework",
        "architecture",
        "dataset_version",
        "hyperparameters",
        "training_date",
        "author",
        "metrics",
        "task",
    ]
    await _know(lineages, me, "v1.0.0")
    said = {
        "training_date": "2025-01-02",
        "author": "Ada",
        "accuracy": "0.92",
        "task": "image-classification",
        "dataset": "digits",
        "dataset_version": "v1.0.0",
        "hyperparameters": '{"lr": 0.1}',
    }
    assert missing_metadata(await registrar.add(user_metadata=said)) == []
    elsewhere = await registrar.add(user_metadata={**said, "dataset": "imagenet", "dataset_version": "v2.0.0"})
    assert (missing_metadata(elsewhere), elsewhere.dangling_links) == ([], ["dataset: imagenet@v2.0.0"])
    run = await runs.create(DEFAULT, a_run(), me)
    await runs.log(run.name, metrics(accuracy=0.97), {"lr": 0.1}, me)
    assert missing_metadata(await registrar.add(run=run.name)) == ["dataset_version", "task"]


async def test_the_exchange_document_is_that_of_the_guide(
    registrar: Registrar, versions: Versions, runs: Runs, lineages: Lineages, artifacts: Artifacts, me: Origin
) -> None:
    """R-18: exactly these keys, in this order, and our own under one of its own."""
    await registrar.add(
        linear_model(4, 3),
        "m.onnx",
        semantic_version="v1.0.0",
        user_metadata={
            "training_dataset": "imagenet-v1",
            "training_script": "train_resnet.py",
            "hyperparameters": '{"learning_rate": 0.001, "batch_size": 32.0, "epochs": 100}',
            "params": "25M",
        },
    )
    document = json.loads(await versions.document(DIGITS, SemVer(1, 0, 0)))
    ours = document.pop("headwater")
    created = document.pop("created_at")
    assert document == {
        "model_id": "digits",
        "version": "v1.0.0",
        "format": "ONNX",
        "framework": "pytorch",
        "architecture": "small-cnn",
        "parameters": 12,
        "tensor_info": {"input_shape": [-1, 4], "output_shape": [-1, 3], "dtypes": ["float32"]},
        "provenance": {
            "training_dataset": "imagenet-v1",
            "training_script": "train_resnet.py",
            "hyperparameters": {"learning_rate": 0.001, "batch_size": 32, "epochs": 100},
        },
        "stage": "Development",
    }
    assert created.endswith("Z")
    assert ours["name"] == f"{DIGITS}/versions/1"
    assert ours["dangling_links"] == ["training_dataset: imagenet-v1"]
    assert ours["user_metadata"]["params"] == 25_000_000


async def test_the_document_of_an_archived_model_has_the_name_that_people_know(
    registrar: Registrar, versions: Versions, lifecycle: Lifecycle, me: Origin
) -> None:
    """R-18, M-06: it is found by its uid, which says nothing to whom the document is sent."""
    await registrar.add()
    archived = await lifecycle.archive(DIGITS, "", me)
    document = json.loads(await versions.document(archived.name, 1))
    assert (archived.name.model, document["model_id"]) == (archived.id, "digits")
    assert document["headwater"]["name"] == f"{archived.name}/versions/1"


async def test_the_document_says_null_where_nobody_knows_and_finds_the_code_of_the_run(
    registrar: Registrar, versions: Versions, runs: Runs, lineages: Lineages, artifacts: Artifacts, me: Origin
) -> None:
    run = await runs.create(DEFAULT, a_run(), me)
    await runs.log(run.name, metrics(loss=float("nan")), {}, me)
    code = await upload(artifacts, b"train", me)
    edge = NewEdge(str(code), str(run.name), str(run.name), Role.EXECUTABLE)
    await lineages.connect(DEFAULT, Connections([], [edge]), me)
    await registrar.add(run=run.name, framework_name="", framework_version="", architecture="")
    document = json.loads(await versions.document(DIGITS, 1))
    assert (document["format"], document["framework"], document["parameters"]) == (None, None, None)
    assert document["version"] == "1"
    assert document["tensor_info"] == {"input_shape": None, "output_shape": None, "dtypes": []}
    assert document["provenance"] == {"training_dataset": None, "training_script": None, "hyperparameters": {}}
    assert document["headwater"]["metrics"] == {"loss": "NaN"}


async def test_a_version_that_is_a_logged_model_comes_from_its_run(
    registrar: Registrar, logged_models: LoggedModels, runs: Runs, me: Origin
) -> None:
    run, other = await runs.create(DEFAULT, a_run(), me), await runs.create(DEFAULT, a_run(), me)
    logged = await logged_models.create(DEFAULT, NewLoggedModel("cnn", "", str(run.name), "", {}, {}), me)
    made = await registrar.add(logged_model=logged.name)
    assert (made.run, made.logged_model) == (str(run.name), str(logged.name))
    with pytest.raises(MetadataConflict, match="run"):
        await registrar.add(run=other.name, logged_model=logged.name)
    with pytest.raises(LoggedModelNotFound):
        await registrar.add(logged_model=LoggedModelName("default", other.id))
