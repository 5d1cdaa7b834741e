"""Each rule of a package, broken once (M-66…M-78), with the path that its error names."""

import copy
from typing import Any

import pytest
import yaml

from headwater import packaging
from tests.unit.packaging.documents import GENERAL, WHOLE, changed, errors_of, warnings_of

TRAINABLE = "is required: the model is trainable"
SERVABLE = "is required: the model is servable"
SCORABLE = "is required: the model is scorable"
CONVERTIBLE = "is required: the model is convertible to ONNX"
BUCKET = "is required: it lies in a bucket (s3 type)"
CONTAINER = "is required: it is served by a container (container type)"
STORE = "is required for a data store of s3 type"

RULES = [
    ("name", "is required"),
    ("framework", "is required"),
    ("framework.name", "is required"),
    ("author", TRAINABLE),
    ("author.name", TRAINABLE),
    ("author.email", TRAINABLE),
    ("framework.runtimes", TRAINABLE),
    ("framework.runtimes.name", TRAINABLE),
    ("framework.runtimes.version", TRAINABLE),
    ("train.model_source", TRAINABLE),
    ("train.model_source.initial_model", TRAINABLE),
    *((f"train.model_source.initial_model.{field}", BUCKET) for field in ("data_store", "bucket", "path")),
    ("train.model_training_results", TRAINABLE),
    ("train.model_training_results.trained_model", TRAINABLE),
    *((f"train.model_training_results.trained_model.{field}", BUCKET) for field in ("data_store", "bucket", "path")),
    ("train.data_source", TRAINABLE),
    ("train.data_source.training_data", TRAINABLE),
    *((f"train.data_source.training_data.{field}", BUCKET) for field in ("data_store", "bucket", "path")),
    ("train.evaluation_metrics.type", "is required"),
    ("train.evaluation_metrics.in", "is required"),
    ("train.training_container_image.container_image_url", "is required for an image"),
    ("train.execution", TRAINABLE),
    ("train.execution.command", TRAINABLE),
    ("train.execution.compute_configuration", TRAINABLE),
    ("train.execution.compute_configuration.name", TRAINABLE),
    ("data_stores", TRAINABLE),
    ("data_stores.0.name", "is required"),
    ("data_stores.0.connection", STORE),
    ("data_stores.0.connection.endpoint", STORE),
    ("data_stores.0.connection.access_key_id", STORE),
    ("data_stores.0.connection.secret_access_key", STORE),
    ("serve.model_source", SERVABLE),
    ("serve.model_source.servable_model.data_store", f"{BUCKET}, or a url is"),
    ("serve.model_source.servable_model.bucket", BUCKET),
    ("serve.model_source.servable_model.path", BUCKET),
    ("serve.serving_container_image.container_image_url", CONTAINER),
    ("score.model_features_schema_source", SCORABLE),
    ("score.model_features_schema_source.scorable_model.data_store", f"{BUCKET}, or a url is"),
    ("score.model_features_schema_source.scorable_model.bucket", BUCKET),
    ("score.model_features_schema_source.scorable_model.data_store_file_paths", BUCKET),
    ("data_store_file_paths.0.name", "is required"),
    ("process.0.name", "is required"),
    ("container_stores.0.name", "is required"),
    ("container_stores.0.connection", "is required"),
    ("container_stores.0.connection.container_registry", "is required"),
    ("convert.model_source", CONVERTIBLE),
    *((f"convert.model_source.initial_model.{field}", BUCKET) for field in ("data_store", "bucket", "path")),
    *((f"convert.onnx_converted_model.onnx_model.{field}", BUCKET) for field in ("data_store", "bucket", "path")),
    ("convert.tf_inputs", "is required to convert a TensorFlow model"),
    ("convert.tf_outputs", "is required to convert a TensorFlow model"),
]


@pytest.mark.parametrize(("path", "message"), RULES, ids=[path for path, _ in RULES])
def test_a_field_that_is_left_out_is_asked_for(path: str, message: str) -> None:
    named = path.replace(".0.", "[0].")
    assert errors_of(changed(path)) == {named: message}


@pytest.mark.parametrize(("path", "message"), RULES, ids=[path for path, _ in RULES])
def test_a_field_that_is_left_empty_is_asked_for(path: str, message: str) -> None:
    named = path.replace(".0.", "[0].")
    assert named in errors_of(changed(path, ""))


STORES = WHOLE["data_stores"]
SERVE = {**GENERAL, "serve": {"servable": True, "model_source": {"scorable_model_local": {"path": "x"}}}}
SCORE = {**GENERAL, "score": {"scorable": True, "model_features_schema_source": {"scorable_model": {"bucket": "b"}}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # One of the types is needed.
        (yaml.safe_dump(SERVE), {"serve.model_source.servable_model": SERVABLE}),
        (
            yaml.safe_dump({**GENERAL, "convert": {"onnx_convertible": True, "model_source": {}}}),
            {"convert.model_source": CONVERTIBLE},
        ),
        (
            changed("serve.model_source.servable_model", {"url": ""}, SERVE),
            {"serve.model_source.servable_model": SERVABLE},
        ),
        (
            yaml.safe_dump(SCORE),
            {
                "score.model_features_schema_source.scorable_model.data_store": BUCKET,
                "score.model_features_schema_source.scorable_model.data_store_file_paths": BUCKET,
            },
        ),
        # Each type is enough.
        (changed("serve.model_source.servable_model", {"url": "https://models.example/m.onnx"}, SERVE), {}),
        (changed("serve.model_source.servable_model_local", {"path": "m.onnx"}, SERVE), {}),
        (changed("serve.serving_container_image", {"container_image_url": "me/m:1"}, SERVE), {}),
        (changed("score.model_features_schema_source.scorable_model", {"url": "https://x.example"}, SCORE), {}),
        # Where nothing is trainable, servable, scorable or convertible, nothing more is asked for.
        (yaml.safe_dump({**GENERAL, "train": {"training_params": [{"epochs": 3}]}}), {}),
        (yaml.safe_dump({**GENERAL, "serve": {"tested_platforms": ["knative"]}}), {}),
        (yaml.safe_dump({"train": {"mount_type": "x"}}), {}),
        # What is executed has a command and something to run on, also where nothing is trainable.
        (
            yaml.safe_dump({"train": {"execution": {"compute_configuration": {"nodes": 2}}}}),
            {
                "train.execution.command": "is required",
                "train.execution.compute_configuration.name": "is required",
            },
        ),
        # Not trainable and not servable: what is not there cannot be converted.
        (
            yaml.safe_dump(
                {
                    **GENERAL,
                    "serve": {"tested_platforms": ["wml"]},
                    "convert": {
                        "onnx_convertible": True,
                        "model_source": {"initial_model_local": {"path": "m.pt"}},
                    },
                }
            ),
            {"convert.onnx_convertible": "is true, and the model is neither trainable nor servable"},
        ),
        # This Headwater's own data store needs no bucket and no keys.
        (
            changed(
                "serve.model_source.servable_model",
                {"data_store": "here", "path": "digits@3"},
                {**SERVE, "data_stores": [{"name": "here", "type": "headwater"}]},
            ),
            {},
        ),
    ],
)
def test_conditions_decide_what_is_required(text: str, expected: dict[str, str]) -> None:
    """M-77, M-78."""
    found = errors_of(text)
    assert found.keys() == expected.keys()
    for path, message in expected.items():
        assert found[path].startswith(message)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.trainable", "perhaps", "is 'perhaps' and must be true or false"),
        ("train.trainable", ["x"], "must be true or false and not a list"),
        ("train.execution.compute_configuration.nodes", 0, "is '0' and must be a whole number, at least 1"),
        ("train.execution.compute_configuration.nodes", 1.5, "is '1.5' and must be a whole number, at least 1"),
        ("train.tested_platforms", "wml", "must be a list"),
        ("train.training_params", "epochs", "must be a mapping"),
        ("train.model_source", "code/", "must be a mapping"),
        ("train.model_source.initial_model.bucket", {"a": 1}, "must be a text and not a mapping"),
        ("serve.tested_platform", ["kubernetes"], "is not known; did you mean tested_platforms?"),
        ("colour", "red", "is not known; known are name, "),
        *(
            ("train.execution.compute_configuration.nodes", text, f"is {text!r} and must be a whole number")
            for text in ("1 0", "1_0", "１", "0x2", "1e0", "many")
        ),
        *(
            ("convert.tf_rtol", text, f"is {text!r} and must be a number, at least 0")
            for text in ("1 000", "1_0", "１", "0x10", "inf", "nan", "1e400")
        ),
        *(
            ("serve.servable", text, f"is {text!r} and must be true or false")
            for text in ("no", "on", "yes", "off", "y", "0")
        ),
        ("convert.tf_rtol", -1, "is '-1' and must be a number, at least 0"),
        ("convert.tf_atol", float("nan"), "is '.nan' and must be a number, at least 0"),
        ("convert.tf_inputs", {"X:0": [-2]}, "is '-2' and must be a whole number, at least -1"),
        ("description", "y" * 32_769, "must be at most 32,768 characters"),
        ("description", "a\x07b", "must be at most 32,768 characters, none of them a control character"),
        ("train.training_params", {"rate": float("inf")}, ".inf is not a number"),
        ("data_stores", [*STORES, *copy.deepcopy(STORES)], "is age_datastore, which is there twice"),
    ],
)
def test_a_value_of_another_kind_is_refused(path: str, value: Any, message: str) -> None:
    found = errors_of(changed(path, value))
    assert len(found) == 1
    named, said = found.popitem()
    assert named.startswith(path.partition(".0.")[0])
    assert said.startswith(message)


@pytest.mark.parametrize("path", ["serve.servable", "convert.tf_rtol", "data.domain", "model_identifier"])
def test_what_is_empty_is_as_what_is_not_there(path: str) -> None:
    assert errors_of(changed(path, "")) == {}
    assert packaging.read(changed(path, "")).document == packaging.read(changed(path)).document


@pytest.mark.parametrize(("written", "meant"), [("'2'", 2), ("+2", 2), ("' 2 '", 2)])
def test_a_number_may_be_written_as_a_text(written: str, meant: int) -> None:
    text = f"train: {{execution: {{command: x.py, compute_configuration: {{name: a, nodes: {written}}}}}}}"
    document = packaging.read(text).document
    assert isinstance(document, packaging.ModelPackage)
    assert document.train
    assert document.train.execution
    assert document.train.execution.compute_configuration
    assert document.train.execution.compute_configuration.nodes == meant


def test_what_is_wrong_with_one_field_is_said_once() -> None:
    assert errors_of(RECORD + "metrics: {key: a, value_type: NUMBER}") == {"metrics[0].value": "is required"}
    with pytest.raises(packaging.InvalidPackage) as caught:
        packaging.read("data_stores: [{name: [a], type: headwater}]")
    assert [remark.message for remark in caught.value.remarks] == ["must be a text and not a list"]


def test_all_that_is_wrong_is_said_at_once_with_lines() -> None:
    text = """\
name: x
framework:
  version: 1
train:
  trainable: true
  model_source:
    initial_model:
      bucket: b
"""
    with pytest.raises(packaging.InvalidPackage) as caught:
        packaging.read(text, "model.yaml")
    where = {remark.path: remark.place.line for remark in caught.value.remarks}
    assert where == {
        "author": 1,
        "data_stores": 1,
        "framework.name": 3,
        "framework.runtimes": 2,
        "train.data_source": 4,
        "train.execution": 4,
        "train.model_training_results": 4,
        "train.model_source.initial_model.data_store": 7,
        "train.model_source.initial_model.path": 7,
    }
    assert len(caught.value.violations) == len(where)
    assert "line 7: train.model_source.initial_model.path: is required" in str(caught.value)
    assert str(caught.value).startswith("model.yaml: ")


def test_an_unusual_word_is_kept_with_a_warning() -> None:
    """M-67: open for what is to come."""
    said = warnings_of(yaml.safe_dump({**GENERAL, "purpose": "binary_clasification"}))
    assert said == {"purpose": "is 'binary_clasification'; did you mean binary_classification?"}
    assert warnings_of(yaml.safe_dump({**GENERAL, "purpose": "clustering"})) == {}


def test_a_name_that_leads_nowhere_is_told() -> None:
    said = warnings_of(changed("serve.serving_container_image.container_store", "other"))
    assert (
        said["serve.serving_container_image.container_store"] == "is other, and container_stores has none of that name"
    )


@pytest.mark.parametrize("text", ["", "[]", "1", "colour: red", "{}"])
def test_what_is_no_document_of_any_kind_is_refused(text: str) -> None:
    assert errors_of(text)[""].startswith("it is none of these: model package, model description, training recipe, ")


RECORD = "experiment_id: x\nname: y\n"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("specVersion: 0.0.2\nruntimeArtifacts: {a: x}", "specVersion", "is '0.0.2' and must be 0.0.1"),
        ("time_created: soon\nexpiry: never", "expiry", "is 'never' and must be a time such as"),
        ("runtimeArtifacts: [{name: a}]", "runtimeArtifacts[0].uri", "is required"),
        (RECORD + "metrics: {key: a, value: high, value_type: NUMBER}", "metrics[0].value", 'is "high"'),
        (
            RECORD + "metrics: [{key: a, value: 1, value_type: array}]",
            "metrics[0].value",
            "must be a list",
        ),
        (
            RECORD + "metrics: [{key: a, value: 1, value_type: text}]",
            "metrics[0].value_type",
            "is 'text'",
        ),
        (RECORD + "artifacts: [{key: a}]", "artifacts[0].path", "is required"),
        *(
            (
                RECORD + f"{name}: [{{key: a, path: x, value: 1}}, {{key: a, path: y, value: 2}}]",
                f"{name}[1].key",
                "is a, which is there twice",
            )
            for name in ("hyperparameters", "artifacts", "datasets", "metrics", "tags", "properties")
        ),
        ("experiment_id: x\nsubmitterId: y", "name", "is required"),
        ("dataset: [{name: a}]\ndata_process: []\nmodel: [{name: b}]", "framework", "is required"),
    ],
)
def test_the_rules_of_other_documents_are_told_by_path(text: str, path: str, message: str) -> None:
    found = errors_of(text)
    assert found[path].startswith(message)


@pytest.mark.parametrize("text", ["name:", "train: {}", "specVersion: 0.0.1", "labels: [{url: }]"])
def test_a_document_that_says_nothing_is_refused(text: str) -> None:
    assert errors_of(text)[""] == "it says nothing"


RECIPE = "framework: [{name: keras}]\nmodel: [{name: m}]\ndataset: [{name: d}]\ndata_process:\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("- type: image\n- image_resize: {width: 8, height: 8}", {}),
        ("- type: NLP\n- max_length: 128\n- lower_case: true\n- padding: pre", {}),
        ("- type: voice\n- sample_rate: 16000\n- window_ms: 25.5", {}),
        (
            "- type: Image\n- image_resise: {}",
            {"data_process.image_resise": "is not known; did you mean image_resize?"},
        ),
        ("- type: NLP\n- sample_rate: 1", {"data_process.sample_rate": "is not known; NLP has tokenizer, "}),
        ("- type: voice\n- sample_rate: true", {"data_process.sample_rate": "must be a whole number"}),
        ("- type: video", {"data_process.type": "is 'video' and must be Image or NLP or voice"}),
        ("- padding: pre\n- padding: post", {"data_process.padding": "is there twice"}),
    ],
)
def test_each_type_of_data_adds_its_own_options(options: str, expected: dict[str, str]) -> None:
    """M-82: a base and a plugin for each type."""
    found = errors_of(RECIPE + options)
    assert found.keys() == expected.keys()
    assert all(found[path].startswith(message) for path, message in expected.items())
