"""MLSpec's own documents are read, each with the warnings that it earns (M-34, M-66…M-79, M-82)."""

import datetime
from pathlib import Path

import pytest

from headwater import packaging
from headwater.packaging import Secret
from tests.unit.packaging.documents import EXAMPLES

MISPLACED = "belongs at "
SECRET = "is a secret in clear"
PLACEHOLDER = "is a placeholder"
STORE = {"data_stores[0].connection.access_key_id": SECRET, "data_stores[0].connection.secret_access_key": SECRET}
SCORE = {
    "score.model_features_schema_source.metrics": MISPLACED,
    "score.model_features_schema_source.params": MISPLACED,
}
STEP = {"process[0].params.staging_dir": MISPLACED}
STEPS = {**STEP, "process[0].params.trained_model_path": MISPLACED}
URL = {"train.data_source.training_data.training_data_url": MISPLACED}
CONVERT = {"convert.onnx_convertable": "is written onnx_convertible"}
WARNINGS = {
    "data.yaml": {},
    "model.yaml": {},
    "experiment_example.yml": {},
    "model_packaging.yaml": {**URL, **SCORE, **STEPS, **STORE, **CONVERT},
    "model_training.yaml": {**URL, **STEPS, **STORE},
    "model_serving.yaml": {**STEPS, **STORE},
    "model_scoring.yaml": {**SCORE, **STEP, **STORE},
    "model_onnx_conversion.yaml": {**CONVERT, **STORE},
    "model_example.yml": {
        **dict.fromkeys(("custom.origin", "custom.expiry", "custom.metadata"), MISPLACED),
        **{f"metadata.schema.{field}": MISPLACED for field in ("link_to_dataset", "features", "service_schema")},
        **dict.fromkeys(("clustering", "dimensionality_reduction", "expiry"), PLACEHOLDER),
        **{f"origin.{field}": PLACEHOLDER for field in ("codeAssets", "dataAssets", "created_by", "pipeline", "logs")},
        **{f"metadata.{field}": PLACEHOLDER for field in ("link_to_dataset", "features", "service_schema")},
        "metadata.output_schema": PLACEHOLDER,
    },
    "metadata.yaml": {
        "framework.requirement(optional)": "is written requirement",
        "model.source": PLACEHOLDER,
        "model.type": PLACEHOLDER,
        "dataset.source": PLACEHOLDER,
        "data_process.type": PLACEHOLDER,
    },
}
ALL = sorted(EXAMPLES.iterdir())


def test_every_example_is_tried() -> None:
    assert [example.name for example in ALL] == sorted(WARNINGS)


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_an_example_is_read_with_the_warnings_that_it_earns(example: Path) -> None:
    """M-77: also those that have a part only."""
    said = packaging.read(example.read_bytes()).warnings
    expected = WARNINGS[example.name]
    # Said of a field of which something else is said too, or of a name that leads nowhere in MLSpec's own example.
    besides = ("is feature_schema_datastore, and", "is written feature_schema_datastore", "is not said, so that key1")
    for remark in said:
        assert remark.message.startswith((expected.get(remark.path, besides[0]), *besides)), remark
    assert {remark.path for remark in said} >= set(expected)


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_an_example_is_written_as_it_was_read(example: Path) -> None:
    document = packaging.read(example.read_bytes()).document
    written = packaging.write(document)
    assert packaging.read(written).document == document
    assert packaging.write(packaging.read(written).document) == written
    assert "xxxxxxxxxx" not in written


def test_every_field_of_the_package_is_read() -> None:
    """M-66, M-67, M-68, M-69, M-70, M-71, M-72, M-73, M-74, M-75, M-76: field by field."""
    package = packaging.read((EXAMPLES / "model_packaging.yaml").read_text()).document
    assert isinstance(package, packaging.ModelPackage)
    train, serve, score, convert = package.train, package.serve, package.score, package.convert
    assert (package.name, package.model_identifier) == ("Facial Age estimator Model", "facial-age-estimator")
    assert package.author
    assert (package.author.name, package.author.email) == ("DL Developer", "me@ibm.com")
    assert package.framework
    assert package.framework.runtimes
    assert (package.framework.version, package.framework.runtimes.version) == ("1.13.1", "3.5")
    assert [label.pipeline_uuids for label in package.labels] == [("abcd1234",)]
    assert package.data
    assert package.data.source_id == "IMDB-WIKI"
    assert train
    assert train.model_source
    assert train.model_source.initial_model
    assert train.model_source.initial_model.bucket == "facial-age-estimator"
    assert train.execution
    assert train.execution.command.endswith("--learningRate 0.001 --trainingIters 20000")
    assert train.execution.compute_configuration
    assert (train.execution.compute_configuration.name, train.execution.compute_configuration.nodes) == ("k80", 1)
    assert train.evaluation_metrics
    assert train.evaluation_metrics.in_ == "$JOB_STATE_DIR/logs/tb/test"
    assert train.training_params["optimizer"] == ["xxx", "yyy"]
    assert train.training_params["loss"] is None
    assert serve
    assert serve.serving_container_image
    assert serve.serving_container_image.container_image_url == "codait/max-facial-age-estimator:latest"
    assert serve.tested_platforms == ("kubernetes", "knative")
    assert score
    assert score.metrics == {"key": "value", "latency": 0.01}
    assert score.model_features_schema_source
    assert score.model_features_schema_source.scorable_model
    assert score.model_features_schema_source.scorable_model.data_store == "feature_schema_datastore"
    assert package.process[0].params == {"key": "value"}
    assert package.process[0].staging_dir == "training_output/"
    assert package.data_stores[0].connection
    assert package.data_stores[0].connection.secret_access_key == Secret("AGE_DATASTORE_SECRET_ACCESS_KEY")
    assert package.data_store_file_paths[0].sample_inputs_file == "2.0/assets/scoring_inputs.json"
    assert package.container_stores[0].connection
    assert package.container_stores[0].connection.container_registry == "docker.io"
    assert convert
    assert (convert.tf_inputs, convert.tf_outputs) == ({"X:0": (1,)}, ("pred:0",))
    assert (convert.tf_rtol, convert.tf_atol) == (0.0, 0.0)


def test_files_of_any_name_are_kept() -> None:
    """M-73."""
    package = packaging.read((EXAMPLES / "model_training.yaml").read_text()).document
    assert isinstance(package, packaging.ModelPackage)
    assert package.data_store_file_paths[0].others["training_file_two"] == "2.0/assets/training_file_two"
    assert package.is_part


def test_every_field_of_the_description_is_read() -> None:
    """M-79."""
    description = packaging.read((EXAMPLES / "model_example.yml").read_text()).document
    assert isinstance(description, packaging.ModelDescription)
    assert [(each.name, each.uri) for each in description.runtime_artifacts] == [
        ("example", "http://github.com/example")
    ]
    assert description.framework
    assert (description.framework.version, description.framework.custom) == ("1.7", {"accelerator": "V100"})
    assert description.time_created == datetime.datetime(2019, 1, 12, 22, 53, 18, tzinfo=datetime.UTC)
    assert description.metadata
    assert description.metadata.metrics == {"key": "value", "latency": 0.01}
    assert description.metadata.tags == {"key": "value"}
    assert not description.custom


def test_every_field_of_the_experiment_is_read() -> None:
    """M-34; a NUMBER is a scalar (K-13), also where it is written as a text."""
    record = packaging.read((EXAMPLES / "experiment_example.yml").read_text()).document
    assert isinstance(record, packaging.ExperimentRecord)
    assert record.experiment_id == "3eb00c1e-e06a-4a50-b911-54e6fd4d5746"
    assert record.submitted_date == datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC)
    assert record.parameters == {"C": "100", "solver": "lbfgs", "max_iter": "1000"}
    assert [(each.path, each.artifact_type) for each in (*record.artifacts, *record.datasets)] == [
        ("output/census_logreg_simple.gz", "MODEL"),
        ("data/credit-default.csv", "DATA"),
    ]
    assert [(each.key, each.value, each.value_type) for each in record.metrics] == [
        ("accuracy", 0.7787333333333334, "scalar")
    ]
    assert [(each.key, each.value) for each in (*record.tags, *record.properties)] == [
        ("origin", "ENUS"),
        ("systemId", "foo"),
    ]


def test_all_six_sections_of_the_recipe_are_read() -> None:
    """M-82."""
    recipe = packaging.read((EXAMPLES / "metadata.yaml").read_text()).document
    assert isinstance(recipe, packaging.TrainingRecipe)
    assert recipe.framework
    assert recipe.framework.requirement == {"numpy": "1.14.0", "grpc": "0.3.post19"}
    assert recipe.model
    assert (recipe.model.version, recipe.model.time) == ("1.0", "2019-02-26")
    assert recipe.dataset
    assert recipe.dataset.name == "mnist"
    assert recipe.data_process
    assert recipe.data_process.options == {"key1": "value1", "key2": "value2"}
    assert list(recipe.model_architecture)[1] == "fully_connected_layer"
    assert recipe.training_params["optimizer"] == ["xxx", "yyy"]
