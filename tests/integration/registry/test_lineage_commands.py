"""``headwater lineage import`` as a user types it, with files as they come."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from chassis import Service
from chassis.auth import Role
from chassis.ids import new_id
from chassis.testing import TokenFor
from headwater import cli

Command = Callable[..., Awaitable[str]]


@pytest.fixture
def headwater(
    registry: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs ``headwater lineage …`` and returns what it prints; with ``refused`` its error."""
    monkeypatch.setenv("HEADWATER_REGISTRY_ADDRESS", registry.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.WRITER))

    async def run(*arguments: str | Path, refused: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, ["lineage", *(str(argument) for argument in arguments)])
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if refused else (0, None)), printed.err
        return " ".join((printed.err + printed.out).split())

    return run


def _event(**fields: Any) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE",
        "eventTime": "2026-01-31T12:00:00Z",
        "run": {"runId": new_id()},
        "job": {"namespace": "airflow", "name": "daily"},
        "inputs": [{"namespace": "postgres://db:5432", "name": "public.orders"}],
        "producer": "https://example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        **fields,
    }


async def test_events_are_taken_in_however_they_stand_in_the_file(
    headwater: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-24: a line each, as a list, one over many lines, as Marquez lists them, and as Windows writes them."""
    file = tmp_path / "events.json"
    for text, count in (
        (json.dumps(_event()) + "\n\n" + json.dumps(_event()) + "\r\n", 2),
        (json.dumps([_event(), _event()]), 2),
        (json.dumps(_event(), indent=2), 1),
        (json.dumps({"events": [_event(), _event(), _event()], "totalCount": 3}), 3),
        ("\ufeff" + json.dumps(_event()), 1),
        ("", 0),
    ):
        file.write_text(text)
        assert f"events {count} runs {count} new edges {2 * count}" in await headwater("import", file)
    given = io.TextIOWrapper(io.BytesIO(json.dumps(_event()).encode()))
    monkeypatch.setattr("sys.stdin", given)
    assert "events 1" in await headwater("import", "-")


async def test_what_is_no_text_or_json_is_said(headwater: Command, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    for content, said in (
        (b'{"a": "\xe9"}', "not UTF-8: invalid continuation byte at byte 7"),
        (b"[{]", "not JSON"),
        (b"{not json", "event 0 is not JSON"),
        (b"[1]", "event 0 must be an object"),
        (b'{"events": 1}', "event 0, producer is missing"),
    ):
        file.write_bytes(content)
        assert said in await headwater("import", file, refused=True)


async def test_who_names_no_version_is_asked_for_one(headwater: Command) -> None:
    for name in ("models/risk", "datasets/people", "pipelines/prep"):
        said = await headwater("show", name, refused=True)
        assert f"Say which version of it: projects/default/{name}/versions/" in said
