"""Reads OpenLineage events: what they must have is checked, and what is wrong is said with the event and the field.

Read are: of a run the facets ``parent``, ``errorMessage`` and our own ``headwater_run``; of a job ``documentation`` and
``sourceCodeLocation``; of a dataset ``documentation``, ``version``, ``dataSource`` and ``schema``. Other facets, which
anybody may invent, are left aside. What people wrote is cut where it is long, and so are the schemas of wide tables:
who imports them cannot make them shorter.
"""

import datetime
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from headwater.errors import InvalidArgument
from services.registry.lineage.openlineage.model import Dataset, Event, EventType, Job, RunPart

_MAX_NAME = 2048
_MAX_TEXT = 4096
_MAX_SCHEMA = 16_384
_MAX_DATASETS = 1000
# The database's driver takes them for infinite.
_INFINITE = (datetime.datetime.min.replace(tzinfo=datetime.UTC), datetime.datetime.max.replace(tzinfo=datetime.UTC))


class InvalidOpenLineage(InvalidArgument):
    """An event is not what the specification says; the metadata names the event, counted from 0, and the field."""

    reason = "INVALID_OPENLINEAGE"


def read(text: str, index: int) -> Event:
    """The event number ``index``.

    Raises:
        InvalidOpenLineage
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        _refuse(index, "", "is nested too deeply")
    except ValueError as error:
        _refuse(index, "", f"is not JSON: {error}")
    return _Reader(index).event(value)


def _fitting(fields: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The fields of a schema; where they are too much to keep without what is said of them, and the first that fit."""
    if len(_json(fields)) <= _MAX_SCHEMA:
        return fields
    brief, room = [{key: field[key] for key in ("name", "type") if key in field} for field in fields], _MAX_SCHEMA
    for count, field in enumerate(brief):
        room -= len(_json(field)) + 1
        if room < 1:
            return brief[:count]
    return brief


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _refuse(index: int, field: str, what: str) -> NoReturn:
    subject = f"event {index}" + (f", {field}" if field else "")
    raise InvalidOpenLineage(f"{subject} {what}.", event=index, field=field)


class _Reader:
    """Reads one event; every method is given where it is in it."""

    def __init__(self, index: int) -> None:
        self._index = index

    def event(self, value: Any) -> Event:
        fields = self._object(value, "")
        for each in ("producer", "schemaURL"):
            self._text(fields, each, each)
        time = self._time(self._text(fields, "eventTime", "eventTime"))
        if "dataset" in fields and "job" not in fields and "run" not in fields:
            return Event(EventType.OTHER, time, None, None, (self._dataset(fields["dataset"], "dataset"),), ())
        run = self._run(fields["run"]) if "run" in fields else None
        return Event(
            self._type(fields),
            time,
            run,
            self._job(fields.get("job")),
            self._datasets(fields, "inputs"),
            self._datasets(fields, "outputs"),
        )

    def _type(self, fields: Mapping[str, Any]) -> EventType:
        told = fields.get("eventType", "OTHER")
        try:
            return EventType(told)
        except ValueError:
            self._refuse("eventType", f"must be one of {', '.join(each.value for each in EventType)}")

    def _time(self, text: str) -> datetime.datetime:
        try:
            time = datetime.datetime.fromisoformat(text)
            if time.tzinfo is None:
                raise ValueError("no zone")
            told = time.astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            self._refuse("eventTime", "must be a time with its zone, as 2026-01-31T12:00:00Z")
        if told in _INFINITE:
            self._refuse("eventTime", "must lie in the years 1 to 9999, and not at their edge")
        return told

    def _run(self, value: Any) -> RunPart:
        fields = self._object(value, "run")
        run_id = self._uuid(fields, "run.runId")
        facets = self._facets(fields, "run")
        parent = self._object(facets.get("parent", {}), "run.facets.parent")
        parent_id = ""
        if parent:
            parent_id = self._uuid(
                self._object(parent.get("run"), "run.facets.parent.run"), "run.facets.parent.run.runId"
            )
        failure = self._facet(facets, "run", "errorMessage", "message", cut=True)
        ours = self._object(facets.get("headwater_run", {}), "run.facets.headwater_run")
        executables = ours.get("executables", [])
        if not isinstance(executables, list) or not all(isinstance(each, str) for each in executables):
            self._refuse("run.facets.headwater_run.executables", "must be a list of texts")
        return RunPart(run_id, parent_id, failure, tuple(executables[:_MAX_DATASETS]))

    def _uuid(self, fields: Mapping[str, Any], where: str) -> str:
        text = self._text(fields, where.rpartition(".")[2], where)
        try:
            return str(uuid.UUID(text))
        except ValueError:
            self._refuse(where, "must be a UUID")

    def _job(self, value: Any) -> Job:
        fields = self._object(value, "job")
        facets = self._facets(fields, "job")
        return Job(
            self._text(fields, "namespace", "job.namespace"),
            self._text(fields, "name", "job.name"),
            self._facet(facets, "job", "documentation", "description", cut=True),
            self._facet(facets, "job", "sourceCodeLocation", "repoUrl")
            or self._facet(facets, "job", "sourceCodeLocation", "url"),
            self._facet(facets, "job", "sourceCodeLocation", "version"),
        )

    def _datasets(self, fields: Mapping[str, Any], where: str) -> tuple[Dataset, ...]:
        values = fields.get(where)
        if values is None:
            return ()
        if not isinstance(values, list) or len(values) > _MAX_DATASETS:
            self._refuse(where, f"must be a list of at most {_MAX_DATASETS:,} datasets")
        return tuple(self._dataset(value, f"{where}[{place}]") for place, value in enumerate(values))

    def _dataset(self, value: Any, where: str) -> Dataset:
        fields = self._object(value, where)
        facets = self._facets(fields, where)
        schema = self._object(facets.get("schema", {}), f"{where}.facets.schema").get("fields") or []
        if not isinstance(schema, list) or not all(isinstance(field, dict) for field in schema):
            self._refuse(f"{where}.facets.schema.fields", "must be a list of objects")
        kept = _fitting(schema)
        return Dataset(
            self._text(fields, "namespace", f"{where}.namespace"),
            self._text(fields, "name", f"{where}.name"),
            self._facet(facets, where, "version", "datasetVersion"),
            self._facet(facets, where, "documentation", "description", cut=True),
            self._facet(facets, where, "dataSource", "uri"),
            _json(kept) if kept else "",
            len(schema) - len(kept),
        )

    def _facets(self, fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        return self._object(fields.get("facets") or {}, f"{where}.facets")

    def _facet(self, facets: Mapping[str, Any], where: str, facet: str, key: str, *, cut: bool = False) -> str:
        """A text of a facet; empty where there is no such facet or text. It is ``cut`` where it is long, or refused."""
        place = f"{where}.facets.{facet}"
        value = self._object(facets.get(facet) or {}, place).get(key) or ""
        if cut and isinstance(value, str) and len(value) > _MAX_TEXT:
            value = f"{value[: _MAX_TEXT - 1]}…"
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            self._refuse(f"{place}.{key}", f"must be a text of at most {_MAX_TEXT:,} characters")
        return self._clean(value, f"{place}.{key}")

    def _text(self, fields: Mapping[str, Any], key: str, where: str) -> str:
        value = fields.get(key)
        if value is None:
            self._refuse(where, "is missing")
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME:
            self._refuse(where, f"must be a text of 1 to {_MAX_NAME:,} characters")
        return self._clean(value, where)

    def _clean(self, value: str, where: str) -> str:
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            self._refuse(where, "has a character that no text may have")
        return value

    def _object(self, value: Any, where: str) -> Mapping[str, Any]:
        if value is None:
            self._refuse(where, "is missing")
        if not isinstance(value, dict):
            self._refuse(where, "must be an object")
        return value

    def _refuse(self, field: str, what: str) -> NoReturn:
        _refuse(self._index, field, what)
