"""Documents → canonical YAML: one spelling, one order, nothing that says nothing, and no secret."""

import dataclasses
import datetime
from typing import Any

from headwater import marked_yaml
from headwater.packaging.fields import Field, fields_of
from headwater.packaging.values import Secret


def plain(section: Any) -> dict[str, Any]:
    """The document as plain values, as JSON has them; secrets are the ``${VARIABLE}`` that holds them."""
    written: dict[str, Any] = {}
    for field in fields_of(type(section)):
        value = getattr(section, field.attribute)
        if field.rule.rest:
            written |= {key: _value(field.of, each) for key, each in value.items()}
        elif not _says_nothing(field, value):
            written[field.key] = _value(field, value)
    return written


def text(section: Any) -> str:
    """The document as YAML. Equal documents give equal texts.

    Raises:
        YamlMissing: see :mod:`headwater.marked_yaml`.
    """
    yaml = marked_yaml.pyyaml()
    document: str = yaml.dump(
        document_of(section), Dumper=_dumper(yaml), sort_keys=False, allow_unicode=True, width=10_000
    )
    return document


def document_of(section: Any) -> Any:
    """As :func:`plain`, with sections that MLSpec writes as lists of pairs written so."""
    values = plain(section)
    if not getattr(type(section), "SECTIONS_IN_PAIRS", False):
        return values
    return {key: _pairs(value) if isinstance(value, dict) else value for key, value in values.items()}


def _value(field: Field, value: Any) -> Any:
    match value:
        case Secret():
            return str(value)
        case datetime.datetime():
            return value.isoformat()
        case tuple():
            return [_value(field.of, item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return plain(value)
    if field.kind == "mapping":
        written = {key: _value(field.of, each) for key, each in value.items()}
        return _pairs(written) if field.rule.pairs else written
    return value


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value} for key, value in values.items()]


def _says_nothing(field: Field, value: Any) -> bool:
    # By identity and type: 0 is a number that says something.
    if value is None or field.kind == "any":
        return value is None
    return value is False or (isinstance(value, str | tuple | dict) and not value)


def _dumper(yaml: Any) -> type:
    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Quotes every text that a reader of YAML 1.1 or 1.2 could take for something else."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    def represent(dumper: Any, value: str) -> Any:
        style = "'" if marked_yaml.is_ambiguous(value) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, represent)
    return Dumper
