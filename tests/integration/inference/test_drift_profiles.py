"""Profiles as the dataset service makes them, as what requests are compared with."""

import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService
from chassis.testing.services import Connect, TokenFor
from headwater import datasets
from headwater.client import Connection, Endpoints
from headwater.datasets import profiles
from headwater.errors import NotFound
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from services.inference.drift.datasets import DatasetProfiles
from services.inference.drift.judgement import judge
from services.inference.drift.model import Level
from services.inference.drift.options import Drift
from services.inference.drift.profile import of_column, of_lengths
from services.inference.drift.profiles import NoProfile
from services.inference.drift.reference import Values

VERSION = "projects/default/datasets/d/versions/v1.0.0"
ROWS = 4000


@pytest.fixture
def connected(token_for: TokenFor) -> Iterator[Callable[[Service], Connection]]:
    opened: list[Connection] = []

    def connect(service: Service) -> Connection:
        endpoints = Endpoints(dataset=service.address, dataset_flight=f"127.0.0.1:{service.flight_port}")
        opened.append(Connection(endpoints, token_for(Role.WRITER)))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def rows(random: np.random.Generator) -> dict[str, Values]:
    """Columns of each kind, as requests bring them."""
    return {
        "weight": np.where(random.random(ROWS) < 0.1, np.nan, random.normal(size=ROWS)),
        "label": random.choice(3, p=[0.6, 0.3, 0.1], size=ROWS).astype(np.float64),
        "ill": (random.random(ROWS) < 0.2).astype(np.float64),
        "years": random.poisson(40, ROWS).astype(np.float64),
        "city": [["Ulm", "Bonn", "Köln"][number] for number in random.choice(3, p=[0.5, 0.3, 0.2], size=ROWS)],
    }


async def test_requests_like_the_rows_of_a_profile_are_steady_and_others_are_not(
    start_service: StartService, connect: Connect, connected: Callable[[Service], Connection]
) -> None:
    """M-105: numbers, whole numbers, few numbers, truths and texts; nulls are what NaNs are in a request."""
    service = await start_service(build, Settings, flight_port=0)
    connection, random = connected(service), np.random.default_rng(4)
    trained_on = rows(random)
    train = pa.table({
        "weight": pa.array(trained_on["weight"], from_pandas=True),
        "label": np.asarray(trained_on["label"], np.int64),
        "ill": np.asarray(trained_on["ill"], np.bool_),
        "years": np.asarray(trained_on["years"], np.int32),
        "city": trained_on["city"],
    })  # fmt: skip
    await asyncio.to_thread(datasets.push, connection, "d", datasets.Tables({"test": train[:10], "train": train}))
    source = DatasetProfiles(connect(service.address, Role.READER))
    with pytest.raises(NoProfile, match="has no profile"):
        await source.newest(VERSION, "")
    made = await asyncio.to_thread(profiles.make, connection, "d@v1.0.0", timeout_s=60)

    profile = await source.newest(VERSION, "")
    assert (profile.name, profile.split) == (made.name, "train")
    asked = rows(random)
    moved = {name: asked[name][::-1] if name == "city" else np.asarray(asked[name]) * 1.5 + 1 for name in asked}
    moved["city"] = ["Rom"] * ROWS
    for name, values in asked.items():
        reference = of_column(profile.columns[name], texts=name == "city")
        assert reference is not None
        assert reference.rows == ROWS
        found = judge(name, "input", "", reference, reference.count(values), Drift(), 5)
        assert found.level is Level.STEADY, found
        other = judge(name, "input", "", reference, reference.count(moved[name]), Drift(), 5)
        assert other.level is Level.ALERT, other
    assert of_lengths(profile.columns["city"]) is not None

    assert (await source.newest(VERSION, "test")).split == "test"
    with pytest.raises(NoProfile, match="has the splits test, train, and not dev"):
        await source.newest(VERSION, "dev")
    with pytest.raises(NotFound):
        await source.newest(VERSION.replace("v1", "v7"), "")
