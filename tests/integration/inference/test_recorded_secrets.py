"""What must not be recorded is nowhere: not in the database, not in object storage, not in logs or events."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from chassis.db.engine import Database
from chassis.testing.services import StartService, TokenFor
from headwater import inference_records
from headwater.errors import InvalidArgument
from headwater.inference.v1 import recording_pb2
from headwater.names import DeploymentName, ProjectName
from tests.integration.inference.recorded import recorded
from tests.unit.inference.onnx_models import identity

SECRET = 7321.625
FORMS = (np.float32(SECRET).tobytes(), str(SECRET).encode(), np.float32(SECRET).tobytes().hex().encode())


def has_secret(content: bytes) -> bool:
    return any(form in content for form in FORMS)


async def everything_in(database: Database) -> bytes:
    """Every value of every table, as text, and what is in columns of bytes."""
    parts: list[bytes] = []
    async with database.asyncpg() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'inference'")
        for (table,) in tables:
            for row in await connection.fetch(f"SELECT * FROM {table}"):
                parts += [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
    return b"\n".join(parts)


def everything_below(directory: Path) -> bytes:
    """Every file as it lies there, and what is in it where it is Parquet."""
    parts: list[bytes] = []
    for path in directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            parts.append(content)
            if content[:4] == b"PAR1":
                for row in pq.read_table(path).to_pylist():
                    parts += [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
    return b"\n".join(parts)


async def test_a_redacted_feature_is_written_nowhere(
    start_service: StartService, token_for: TokenFor, postgres_url: str, blobs_dir: Path, tmp_path: Path
) -> None:
    log, events = tmp_path / "requests.log", tmp_path / "events.jsonl"
    settings = {"request_log": str(log), "events_url": events.as_uri(), "events_interval_s": 0.02}
    column = [recording_pb2.RecordedTensor(name="x", columns=["a", "income", "c", "d"], redacted_columns=["income"])]
    answer = [recording_pb2.RecordedTensor(name="y", redacted_columns=["1"])]
    redacting = recording_pb2.Recording(sample_rate=1.0, on_error=True, inputs=column, outputs=answer)
    async with recorded(start_service, token_for, postgres_url, blobs_dir, **settings) as running:
        await running.serve("copy", identity(), redacting)
        name = await running.ask("copy", [[1, SECRET, 3, 4]])
        with pytest.raises(Exception, match="shape"):
            await running.ask("copy", [[SECRET, SECRET]])
        records = await asyncio.to_thread(lambda: list(inference_records.find(running.reader, ProjectName("default"))))
        assert len(records) == 2
        assert not has_secret(await everything_in(running.database))
        assert await running.move() == 2

        assert not has_secret(await everything_in(running.database))
        assert not has_secret(everything_below(blobs_dir))
        assert not has_secret(log.read_bytes() + (events.read_bytes() if events.exists() else b""))
        kept = await asyncio.to_thread(lambda: inference_records.get(running.reader, name, with_bodies=True))
        assert list(kept.redacted) == ["x.income", "y.1"]
        assert np.float32(3).tobytes() in kept.request_body

        await asyncio.to_thread(record_everything, running.writer)
        await forget_rules(running)
        await asyncio.to_thread(lambda: list(inference_records.find(running.reader, ProjectName("default"))))
        assert has_secret(await everything_in(running.database)), "this test finds what is written"


def record_everything(writer: Any) -> None:
    everything = recording_pb2.Recording(sample_rate=1.0)
    inference_records.record_by(writer, DeploymentName("default", "copy"), everything)


async def forget_rules(running: Any) -> None:
    """Ask until the new rules are followed."""
    async with asyncio.timeout(10):
        while True:
            name = await running.ask("copy", [[1, SECRET, 3, 4]])
            kept = await asyncio.to_thread(lambda: inference_records.get(running.reader, name, with_bodies=True))  # noqa: B023
            if not kept.redacted:
                return


async def test_rules_are_shown_changed_and_checked(
    start_service: StartService, token_for: TokenFor, postgres_url: str, blobs_dir: Path
) -> None:
    async with recorded(start_service, token_for, postgres_url, blobs_dir) as running:
        await running.serve("copy", identity())
        name = DeploymentName("default", "copy")
        rules = recording_pb2.Recording(
            sample_rate=0.5,
            low_confidence=recording_pb2.LowConfidence(output="y", below=0.9, logits=True),
            max_body_bytes=100,
            inputs=[recording_pb2.RecordedTensor(name="x", redacted=True)],
        )
        changed = await asyncio.to_thread(inference_records.record_by, running.writer, name, rules)
        assert changed.recording == rules

        for wrong in (
            {"sample_rate": 1.5},
            {"max_body_bytes": -1},
            {"low_confidence": {"output": "y", "below": 0.0}},
            {"low_confidence": {"below": 0.5}},
            {"inputs": [{"name": ""}]},
            {"inputs": [{"name": "x", "redacted_columns": ["age"]}]},
            {"inputs": [{"name": "x"}, {"name": "x"}]},
        ):
            with pytest.raises(InvalidArgument):
                await asyncio.to_thread(
                    inference_records.record_by, running.writer, name, recording_pb2.Recording(**wrong)
                )
