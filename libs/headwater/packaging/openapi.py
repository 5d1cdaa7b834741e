"""The OpenAPI 3.1 document of a model's service, from which clients are generated (M-79)."""

from collections.abc import Mapping
from typing import Any, Final

from headwater.errors import FailedPrecondition
from headwater.packaging.contract import Contract, InvalidSchema

VERSION: Final = "3.1.0"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class ContractMissing(FailedPrecondition):
    """A document does not say what the model takes."""

    reason = "CONTRACT_MISSING"
    text = "Nothing says what the model takes: write metadata.service_schema, or a list of features in metadata.schema."


def document(
    contract: Contract, *, title: str, model: str, version: str = "1", description: str = "", server: str = ""
) -> dict[str, Any]:
    """The document of a service with one operation: ``POST /predict`` or, of tensors, the Open Inference Protocol's.

    Raises:
        ContractMissing
        InvalidSchema: the author's own document is not one of OpenAPI 3.
    """
    if contract.document is not None:
        return _authors(contract.document)
    if contract.request is None:
        raise ContractMissing
    media: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Request"}}
    schemas: dict[str, Any] = {"Request": contract.request}
    answer: dict[str, Any] = {"description": "What the model gives."}
    if contract.answer is not None:
        schemas["Answer"] = contract.answer
        answer["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    if contract.sample is not None:
        media["examples"] = {"sample": {"value": contract.sample}}
    operation = {
        "operationId": "predict",
        "summary": f"Ask {title}",
        "requestBody": {"required": True, "content": {"application/json": media}},
        "responses": {"200": answer, "400": {"description": "The request is not what the model takes."}},
    }
    path = f"/v2/models/{model}/infer" if contract.is_tensors else "/predict"
    info = {"title": title, "version": version} | ({"description": description} if description else {})
    return {
        "openapi": VERSION,
        "jsonSchemaDialect": _DIALECT,
        "info": info,
        **({"servers": [{"url": server}]} if server else {}),
        "paths": {path: {"post": operation}},
        "components": {"schemas": {name: _embedded(_nameless(schema), name) for name, schema in schemas.items()}},
    }


def _nameless(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the address by which others may know it: here it has another."""
    return {key: each for key, each in schema.items() if key != "$id"}


def _embedded(schema: Any, name: str) -> Any:
    """A schema with its references, which lead within it, lead to where it is within the document."""
    if isinstance(schema, list):
        return [_embedded(each, name) for each in schema]
    if not isinstance(schema, dict):
        return schema
    embedded = {key: _embedded(each, name) for key, each in schema.items()}
    if isinstance(reference := schema.get("$ref"), str):
        embedded["$ref"] = f"#/components/schemas/{name}{reference.removeprefix('#')}"
    return embedded


def _authors(written: Mapping[str, Any]) -> dict[str, Any]:
    if not str(written.get("openapi", "")).startswith("3.") or not isinstance(written.get("info"), dict):
        raise InvalidSchema("metadata.service_schema is an OpenAPI document, and not one of OpenAPI 3.")
    return dict(written)
