"""What a model takes and gives, as JSON Schemas, and whether a value keeps to them (M-79).

The schemas are somebody else's: nothing is fetched, and no check goes on for ever. So a ``$ref`` leads within the
schema only, at most 10,000 are followed, and regular expressions, which a few letters can keep busy for years, are
refused and not skipped.
"""

import dataclasses
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from headwater.errors import FailedPrecondition, InvalidArgument
from headwater.packaging import local, tensors
from headwater.packaging.description import ModelDescription
from headwater.packaging.model import ModelPackage

MAX_REFERENCES: Final = 10_000
_REFUSED: Final = (
    *("pattern", "patternProperties"),
    # Other names for places in a schema than the paths in it; that of the whole schema is passed over.
    *("$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"),
)
_MAX_SHOWN: Final = 20
_MAX_FILE_BYTES: Final = 2**20


class ValidatorMissing(FailedPrecondition):
    """jsonschema is not installed."""

    reason = "VALIDATOR_MISSING"
    text = "Checking values needs jsonschema: install headwater[packaging]."


class InvalidSchema(InvalidArgument):
    """What a document gives as a schema is none, or one that is not checked here."""

    reason = "SCHEMA_INVALID"


class ContractBroken(InvalidArgument):
    """A value is not what the schema asks for; ``violations`` are the places in the value, and what is wrong there."""

    reason = "CONTRACT_BROKEN"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Both sides of a service. A side that is None is not said."""

    request: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
    sample: Any = None
    """An example of a request."""
    document: Mapping[str, Any] | None = None
    """A whole OpenAPI document, where the model's author wrote one."""
    is_tensors: bool = False
    """Whether requests and answers are those of the Open Inference Protocol."""

    @classmethod
    def of_description(cls, description: ModelDescription) -> "Contract":
        """What a model description says.

        Raises:
            InvalidSchema
        """
        metadata = description.metadata
        if metadata is None:
            return cls(request=None, answer=None)
        service = metadata.service_schema
        sample = None if isinstance(metadata.sample_inputs, str) else metadata.sample_inputs
        answer = _schema(metadata.output_schema, "metadata.output_schema")
        if isinstance(service, dict) and "openapi" in service:
            return cls(request=None, answer=answer, sample=sample, document=service)
        request = _schema(service, "metadata.service_schema")
        features = metadata.schema if metadata.schema is not None else metadata.features
        if request is None and isinstance(features, list):
            return cls(request=tensors.request(features), answer=answer, sample=sample, is_tensors=True)
        return cls(request=request or _schema(features, "metadata.schema"), answer=answer, sample=sample)

    @classmethod
    def of_package(cls, package: ModelPackage, folder: Path) -> "Contract":
        """What the files say that the score section of a package names on this machine, relative to ``folder``.

        Raises:
            InvalidSchema
            LocalFileRefused: see :mod:`headwater.packaging.local`.
        """
        source = package.score.model_features_schema_source if package.score else None
        at = source.scorable_model_local if source else None
        if at is None:
            return cls(request=None, answer=None)
        base = local.path(folder, at.path or ".", "score.model_features_schema_source.scorable_model_local.path")
        named = {each.name: (number, each) for number, each in enumerate(package.data_store_file_paths)}
        if at.data_store_file_paths not in named:
            return cls(request=None, answer=None)
        number, paths = named[at.data_store_file_paths]
        field = f"data_store_file_paths[{number}]"
        taken, given = f"{field}.input_schema_file", f"{field}.output_schema_file"
        return cls(
            request=_schema(_read(base, paths.input_schema_file, taken), taken),
            answer=_schema(_read(base, paths.output_schema_file, given), given),
            sample=_read(base, paths.sample_inputs_file, f"{field}.sample_inputs_file"),
        )

    def check_request(self, value: Any) -> None:
        """Raise ContractBroken unless ``value`` is what the model takes."""
        _keep(self.request, value, "request")

    def check_answer(self, value: Any) -> None:
        """Raise ContractBroken unless ``value`` is what the model promises to give."""
        _keep(self.answer, value, "answer")


def _read(base: Path, name: str, field: str) -> Any:
    if not name:
        return None
    file = local.path(base, name, field)
    if file.stat().st_size > _MAX_FILE_BYTES:
        raise InvalidSchema(f"{field}: {name} is larger than {_MAX_FILE_BYTES:,} bytes.", field=field)
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidSchema(f"{field}: {name} is no JSON.", field=field) from error


def _schema(value: Any, field: str) -> Mapping[str, Any] | None:
    """The schema, checked to be one."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidSchema(f"{field} must be a JSON Schema.", field=field)
    if keyword := next(_refused({key: each for key, each in value.items() if key != "$id"}), ""):
        raise InvalidSchema(f"{field} has {keyword}, which is not checked here.", field=field)
    jsonschema = _jsonschema()
    try:
        jsonschema.Draft202012Validator.check_schema(value)
    except (jsonschema.SchemaError, RecursionError) as error:
        message = getattr(error, "message", "nested too deeply")
        raise InvalidSchema(f"{field} is no JSON Schema: {message[:200]}.", field=field) from error
    return value


def _refused(value: Any, is_schema: bool = True) -> Iterator[str]:
    """The keywords in a schema that are not checked; a property may have any name."""
    if isinstance(value, list):
        for item in value:
            yield from _refused(item)
    elif isinstance(value, dict):
        for key, each in value.items():
            if is_schema and key in _REFUSED:
                yield key
            if key not in ("const", "enum", "default", "examples"):
                yield from _refused(each, is_schema=key not in ("properties", "$defs", "definitions"))


def _keep(schema: Mapping[str, Any] | None, value: Any, what: str) -> None:
    if schema is None:
        return
    try:
        broken = [(_path(error.absolute_path), error.message[:200]) for error in _errors(schema, value)]
    except RecursionError:
        broken = [("", "is nested too deeply")]
    if broken:
        listed = "; ".join(f"{path or 'it'}: {message}" for path, message in broken)
        error = ContractBroken(f"The {what} is not what the model's schema asks for. {listed}")
        error.violations = broken
        raise error


def _errors(schema: Mapping[str, Any], value: Any) -> Iterator[Any]:
    jsonschema = _jsonschema()
    referencing = importlib.import_module("referencing")
    followed = 0

    def follow(validator: Any, reference: str, instance: Any, within: Any) -> Iterator[Any]:
        nonlocal followed
        followed += 1
        if followed > MAX_REFERENCES:
            raise InvalidSchema(f"The schema refers to itself more than {MAX_REFERENCES:,} times.")
        if reference != "#" and not reference.startswith("#/"):
            raise InvalidSchema(f"The schema refers to {reference[:100]}; only what is within it is read.")
        yield from jsonschema.Draft202012Validator.VALIDATORS["$ref"](validator, reference, instance, within)

    checker = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"$ref": follow})
    try:
        for number, error in enumerate(checker(schema, registry=referencing.Registry()).iter_errors(value)):
            if number == _MAX_SHOWN:
                return
            yield error
    except referencing.exceptions.Unresolvable as error:
        raise InvalidSchema("The schema refers to something that is not in it.") from error


def _path(steps: Any) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _jsonschema() -> Any:
    try:
        return importlib.import_module("jsonschema")
    except ImportError as error:
        raise ValidatorMissing from error
