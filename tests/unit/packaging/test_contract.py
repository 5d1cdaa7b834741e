"""What a model takes and gives: checked, and told as OpenAPI (M-79)."""

import datetime
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from headwater import packaging
from headwater.packaging import openapi
from headwater.packaging.contract import Contract, ContractBroken, InvalidSchema
from headwater.packaging.local import LocalFileRefused
from headwater.packaging.tensors import InvalidFeature

SERVICE = """\
specVersion: 0.0.1
purpose: binary_classification
expiry: 2030-01-01T00:00:00Z
metadata:
  service_schema:
    $id: https://example.org/loans.json
    type: object
    required: [age, income]
    properties:
      age: {type: integer, minimum: 0}
      income: {$ref: "#/$defs/amount"}
    $defs:
      amount: {type: number}
  output_schema:
    type: object
    required: [approved]
    properties:
      approved: {type: boolean}
  sampleInputs:
    age: 41
    income: 52000.5
"""
TENSORS = "metadata: {schema: [{name: image, type: float32, shape: [-1, 2, 2]}, {name: id, type: int64, shape: [1]}]}"


def contract_of(text: str) -> Contract:
    document = packaging.read(text).document
    assert isinstance(document, packaging.ModelDescription)
    return Contract.of_description(document)


def schema_of(document: dict[str, Any], name: str) -> Any:
    """A validator of one schema of an OpenAPI document, as a client would make it."""
    return jsonschema.Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def test_a_client_s_sample_fits_the_schema_of_the_document() -> None:
    contract = contract_of(SERVICE)
    document = openapi.document(contract, title="loans", model="loans", description="Says yes or no.")
    assert json.loads(json.dumps(document)) == document
    assert document["openapi"] == "3.1.0"
    operation = document["paths"]["/predict"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Request"}
    schema_of(document, "Request").validate(body["examples"]["sample"]["value"])
    assert not schema_of(document, "Request").is_valid({"age": -1, "income": 1})
    assert not schema_of(document, "Request").is_valid({"age": 1, "income": "much"})
    assert schema_of(document, "Answer").is_valid({"approved": True})


def test_an_answer_is_checked_as_a_request_is() -> None:
    contract = contract_of(SERVICE)
    contract.check_request({"age": 1, "income": 2.0})
    contract.check_answer({"approved": False})
    with pytest.raises(ContractBroken) as caught:
        contract.check_request({"age": -1, "income": "much"})
    assert {path for path, _ in caught.value.violations} == {"age", "income"}
    with pytest.raises(ContractBroken, match="The answer is not what the model's schema asks for"):
        contract.check_answer({"approved": "yes"})
    with pytest.raises(ContractBroken, match="it: 'approved' is a required property"):
        contract.check_answer({})


def test_what_no_schema_says_is_not_asked_for() -> None:
    nothing = contract_of("purpose: clustering\ntime_created: 2025-01-01")
    nothing.check_request({"anything": 1})
    with pytest.raises(openapi.ContractMissing, match=r"metadata\.service_schema"):
        openapi.document(nothing, title="x", model="x")


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "FP32", "shape": [3, 2, 2], "data": [0.5] * 12, **changes}


IDS = {"name": "id", "datatype": "INT64", "shape": [1], "data": [7]}


@pytest.mark.parametrize(
    ("inputs", "fits"),
    [
        ([tensor(), IDS], True),
        ([IDS, tensor(data=[[[0.0, 1.0], [2.0, 3.0]]])], True),
        ([tensor()], False),
        ([tensor(), tensor()], True),
        ([tensor(datatype="FP64"), IDS], False),
        ([tensor(shape=[3, 2]), IDS], False),
        ([tensor(shape=[3, 2, 3]), IDS], False),
        ([tensor(data=["a"]), IDS], False),
        ([tensor(name="picture"), IDS], False),
        ([tensor(), {**IDS, "data": [1.5]}], False),
        ([tensor(), {**IDS, "data": []}], False),
    ],
)
def test_features_that_are_tensors_are_requests_of_the_inference_protocol(inputs: list[Any], fits: bool) -> None:
    contract = contract_of(TENSORS)
    document = openapi.document(contract, title="digits", model="digits", server="https://ml.example")
    assert list(document["paths"]) == ["/v2/models/digits/infer"]
    assert document["servers"] == [{"url": "https://ml.example"}]
    assert schema_of(document, "Request").is_valid({"inputs": inputs}) is fits
    if fits:
        contract.check_request({"inputs": inputs})
    else:
        with pytest.raises(ContractBroken):
            contract.check_request({"inputs": inputs})


@pytest.mark.parametrize(
    ("features", "named"),
    [
        ("[]", "There must be features"),
        ("[image]", r"metadata\.schema\[0\] must be a mapping"),
        ("[{name: a, type: complex64}]", r"metadata\.schema\[0\]\.type must be one of float16"),
        ("[{name: a, type: fp32, shape: [x]}]", r"metadata\.schema\[0\]\.shape must be a list"),
        ("[{name: a, type: fp32, shape: [-2]}]", r"metadata\.schema\[0\]\.shape must be a list"),
        ("[{name: a, type: fp32, dims: [1]}]", r"metadata\.schema\[0\] must be a mapping"),
    ],
)
def test_a_feature_that_is_no_tensor_is_named(features: str, named: str) -> None:
    with pytest.raises(InvalidFeature, match=named):
        contract_of(f"metadata: {{schema: {features}}}")


def test_an_openapi_document_of_the_author_is_passed_on() -> None:
    own = {"openapi": "3.0.3", "info": {"title": "mine", "version": "1"}, "paths": {}}
    assert (
        openapi.document(contract_of(yaml.safe_dump({"metadata": {"service_schema": own}})), title="x", model="x")
        == own
    )
    with pytest.raises(InvalidSchema, match="not one of OpenAPI 3"):
        openapi.document(contract_of("metadata: {service_schema: {openapi: 2.0, info: {}}}"), title="x", model="x")


DOUBLING = {
    "$ref": "#/$defs/a0",
    "$defs": {
        **{f"a{at}": {"allOf": [{"$ref": f"#/$defs/a{at + 1}"}] * 2} for at in range(40)},
        "a40": {"type": "integer"},
    },
}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "https://evil.example/schema.json"}, "only what is within it is read"),
        ({"$ref": "file:///etc/passwd"}, "only what is within it is read"),
        ({"$ref": "#/$defs/none"}, "something that is not in it"),
        (DOUBLING, "refers to itself more than 10,000 times"),
        ({"properties": {"x": {"$id": "https://evil.example/x"}}}, r"has \$id, which is not checked here"),
        ({"type": "string", "pattern": "^(a+)+$"}, "has pattern, which is not checked here"),
        ({"properties": {"x": {"patternProperties": {"(a+)+$": {}}}}}, "has patternProperties"),
        ({"type": "number", "minimum": "low"}, "is no JSON Schema"),
        ({"type": "text"}, "is no JSON Schema"),
        ([1], "must be a JSON Schema"),
    ],
)
def test_a_schema_that_would_reach_out_or_never_end_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(InvalidSchema, match=message):
        contract_of(json.dumps({"metadata": {"output_schema": schema}})).check_answer(1)


def test_a_schema_that_refers_to_itself_without_end_is_refused() -> None:
    with pytest.raises((InvalidSchema, ContractBroken), match=r"itself|nested too deeply"):
        contract_of('metadata: {output_schema: {$ref: "#"}}').check_answer(1)


def test_a_property_may_have_any_name() -> None:
    contract_of("metadata: {output_schema: {properties: {pattern: {type: string}}}}").check_answer({"pattern": "x"})


def test_a_model_expires_at_its_moment() -> None:
    document = packaging.read(SERVICE).document
    assert isinstance(document, packaging.ModelDescription)
    moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    assert not document.is_expired(moment - datetime.timedelta(microseconds=1))
    assert document.is_expired(moment)
    assert not packaging.ModelDescription().is_expired(moment)


PACKAGE = """\
name: loans
framework: {name: sklearn}
score:
  scorable: true
  model_features_schema_source:
    scorable_model_local: {path: schemas, data_store_file_paths: files}
data_store_file_paths:
  - {name: files, input_schema_file: in.json, sample_inputs_file: sample.json}
"""


def test_a_package_s_schemas_are_the_files_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "in.json").write_text('{"type": "object", "required": ["age"]}')
    (tmp_path / "schemas" / "sample.json").write_text('{"age": 3}')
    package = packaging.read(PACKAGE).document
    assert isinstance(package, packaging.ModelPackage)
    contract = Contract.of_package(package, tmp_path)
    contract.check_request(contract.sample)
    with pytest.raises(ContractBroken):
        contract.check_request({})
    (tmp_path / "schemas" / "in.json").write_text("{")
    with pytest.raises(InvalidSchema, match=r"data_store_file_paths\[0\]\.input_schema_file: in\.json is no JSON"):
        Contract.of_package(package, tmp_path)
    (tmp_path / "schemas" / "in.json").unlink()
    (tmp_path / "schemas" / "in.json").symlink_to("/etc/hostname")
    with pytest.raises(
        LocalFileRefused, match=r"data_store_file_paths\[0\]\.input_schema_file: .*in\.json is (outside|not there)"
    ):
        Contract.of_package(package, tmp_path)
