"""Known misspellings are read, with a warning, and written right (K-12, K-14)."""

from typing import Any

import pytest
import yaml

from headwater import packaging
from tests.unit.packaging.documents import GENERAL, WHOLE, changed, errors_of, package, warnings_of

SCORE = WHOLE["score"]
SOURCE = SCORE["model_features_schema_source"]


def renamed(path: str, wrong: str, right: str) -> tuple[str, str]:
    """MLSpec's package with one key misspelt, and spelt right."""
    at: Any = WHOLE
    for step in path.split(".") if path else []:
        at = at[int(step) if step.isdigit() else step]
    value = next(at[key] for key in (right, wrong) if key in at)
    rest = {key: each for key, each in at.items() if key not in (wrong, right)}
    if not path:
        return yaml.safe_dump({**rest, wrong: value}), yaml.safe_dump({**rest, right: value})
    return changed(path, {**rest, wrong: value}), changed(path, {**rest, right: value})


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("data_stores.0.connection", "endpoing", "endpoint"),
        ("score", "secorable", "scorable"),
        ("score.model_features_schema_source", "secorable_model_local", "scorable_model_local"),
        ("serve.model_source", "secorable_model_local", "scorable_model_local"),
        ("convert", "onnx_convertable", "onnx_convertible"),
        ("score", "model_feature_schema_source", "model_features_schema_source"),
        ("", "data_stores_file_paths", "data_store_file_paths"),
        ("", "data_store_file_path", "data_store_file_paths"),
        ("score.model_features_schema_source.scorable_model", "data_stores_file_paths", "data_store_file_paths"),
        ("data_store_file_paths.0", "festure_file", "feature_file"),
        ("train", "tested_platforms(optional list)", "tested_platforms"),
        ("serve", "tested_platforms (optional list)", "tested_platforms"),
    ],
)
def test_a_misspelt_field_is_read_with_a_warning_and_written_right(path: str, wrong: str, right: str) -> None:
    misspelt, spelt = renamed(path, wrong, right)
    named = ".".join(filter(None, (path.replace(".0", "[0]"), wrong)))
    assert warnings_of(misspelt)[named] == f"is written {right}"
    written = packaging.write(packaging.read(misspelt).document)
    assert written == packaging.write(packaging.read(spelt).document)
    assert f"{wrong}:" not in written


def test_a_misspelt_name_of_a_store_is_the_store() -> None:
    """K-12: festure_…"""
    store = {"name": "feature_schema_datastore", "type": "headwater"}
    text = changed("data_stores", [*WHOLE["data_stores"], store])
    path = "score.model_features_schema_source.scorable_model.data_store"
    assert warnings_of(text)[path] == "is written feature_schema_datastore"
    assert not any("none of that name" in message for message in warnings_of(text).values())


@pytest.mark.parametrize(
    ("path", "value", "said", "errors"),
    [
        ("train.mount_type", None, {}, {}),
        ("train.mount_type", "mount_cos", {}, {}),
    ],
)
def test_the_mount_type_is_optional(path: str, value: object, said: dict[str, str], errors: dict[str, str]) -> None:
    """K-12: required in the page, optional in the example."""
    assert errors_of(changed(path, value)) == errors
    assert path not in warnings_of(changed(path, value))


@pytest.mark.parametrize(
    ("text", "where", "there"),
    [
        ("execution: {command: x.py, name: k80, nodes: 2}", "train.execution.name", "compute_configuration.name"),
        ("execution: {command: x.py, name: k80, nodes: 2}", "train.execution.nodes", "compute_configuration.nodes"),
    ],
)
def test_a_field_in_the_place_where_the_page_has_it_is_carried(text: str, where: str, there: str) -> None:
    document = f"name: m\nframework: {{name: f}}\ntrain: {{{text}}}"
    assert warnings_of(document)[where] == f"belongs at train.execution.{there}"
    written = yaml.safe_load(packaging.write(packaging.read(document).document))
    assert written["train"]["execution"]["compute_configuration"] == {"name": "k80", "nodes": 2}


def test_the_page_s_form_of_a_conversion_is_read() -> None:
    convert = {
        "onnx_convertable": True,
        "model_source": {
            "data_store": "s",
            "initial_model": {"bucket": "b", "path": "m.pt"},
            "onnx_model": {"data_store": "s", "bucket": "b", "path": "m.onnx"},
        },
    }
    read = package(convert=convert).convert
    assert read
    assert read.model_source
    assert read.model_source.initial_model
    assert read.model_source.initial_model.data_store == "s"
    assert read.onnx_converted_model
    assert read.onnx_converted_model.onnx_model
    assert read.onnx_converted_model.onnx_model.path == "m.onnx"


def test_a_field_that_is_in_both_places_is_refused() -> None:
    execution = {"command": "x.py", "name": "a", "compute_configuration": {"name": "b"}}
    errors = errors_of(yaml.safe_dump({**GENERAL, "train": {"execution": execution}}))
    assert errors["train.execution.name"].startswith("is not known")


def test_a_field_that_is_spelt_in_both_ways_is_refused() -> None:
    score = {"scorable": True, "secorable": True, "metrics": {"a": 1}}
    assert "score.scorable" in errors_of(yaml.safe_dump({**GENERAL, "score": score}))


@pytest.mark.parametrize("name", ["requestLatency", "requestLatencyMs", "inferenceLatency", "latency_ms"])
def test_all_names_of_the_latency_are_one(name: str) -> None:
    """K-14."""
    score = package(score={"metrics": {name: 12.5}}).score
    assert score
    assert score.metrics == {"latency_ms": 12.5}


def test_two_latencies_are_refused() -> None:
    text = yaml.safe_dump({**GENERAL, "score": {"metrics": {"requestLatency": 1, "inferenceLatency": 2}}})
    assert set(errors_of(text)) == {"score.metrics.requestLatency"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Facial Age estimator Model", "facial-age-estimator-model"),
        ("My training module", "my-training-module"),
        ("résumé ranker", "r-sum-ranker"),
        ("../../etc/passwd", "etc-passwd"),
        ("model_v1", "model_v1"),
        ("--x--", "x"),
        ("日本", ""),
        ("a" * 300, "a" * 255),
    ],
)
def test_a_name_for_people_becomes_a_name_for_addresses(written: str, name: str) -> None:
    """K-10."""
    assert packaging.slug(written) == name
