"""Drift of what is asked and answered, tried with a stock client of a running service."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton
from tritonclient.grpc import service_pb2_grpc

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.testing.services import Connect, StartService, TokenFor
from headwater import cli
from headwater import drift as drifts
from headwater.client import Connection, Endpoints
from headwater.errors import InvalidArgument, NotFound
from headwater.inference.v1 import (
    deployments_pb2,
    drift_pb2,
    drift_pb2_grpc,
    incidents_pb2,
    incidents_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
    routing_pb2,
)
from headwater.names import DeploymentName, ModelName
from services.inference.__main__ import wire
from services.inference.deployments.memory import MemoryDeployments
from services.inference.drift.profile import Column, Distribution, Profile
from services.inference.drift.profiles import MemoryProfiles
from services.inference.drift.store import MemoryReferences
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import Selector, SelectorKind
from services.inference.records.memory import MemoryRecords
from services.inference.settings import Settings
from tests.integration.inference.conftest import Running, in_memory
from tests.unit.inference.onnx_models import identity
from tests.unit.inference.waiting import eventually

DATA = "projects/default/datasets/flowers/versions/1"
PROFILE = f"{DATA}/profiles/p"
NAME = "projects/default/deployments/flowers"
MODEL = ModelName("default", "flowers")
CHOSEN = Selector(SelectorKind.ALIAS, "served")
COLUMNS = ("age", "height", "weight", "unheard")
_RANKS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_Kind, _State, _Level = incidents_pb2.Incident.Kind, incidents_pb2.Incident.State, drift_pb2.FeatureDrift.Level
ROWS = 400
Rows = npt.NDArray[np.float32]


def profile_of_normal() -> Profile:
    """As a profile of 100,000 rows shows a standard normal distribution."""
    values = np.random.default_rng(0).normal(size=100_000)
    counts, edges = np.histogram(values, 32)
    told = Distribution(
        float(values.min()),
        float(values.max()),
        tuple((rank, float(np.quantile(values, rank))) for rank in _RANKS),
        tuple(zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)),
    )
    return Profile(PROFILE, "train", {name: Column(name, 100_000, 0, told) for name in COLUMNS[:3]})


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """A deployment ``flowers``, whose requests have four columns, and clients of it."""

    running: Running
    profiles: MemoryProfiles
    random: np.random.Generator

    @property
    def incidents(self) -> "incidents_pb2_grpc.IncidentServiceAsyncStub":
        return incidents_pb2_grpc.IncidentServiceStub(self.running.admin)

    def add(self, *dataset_versions: str, served: bool = True) -> None:
        """One more version, trained on these."""
        version = self.running.models.add(
            MODEL, {"model.onnx": NewFile("onnx", identity())}, dataset_versions=dataset_versions
        )
        if served:
            self.running.models.point(MODEL, CHOSEN, version)

    async def serve(self, drift: drift_pb2.Drift, **options: Any) -> None:
        deployment = deployments_pb2.Deployment(model=str(MODEL), alias="served", drift=drift, **options)
        await self.running.deployments.CreateDeployment(
            deployments_pb2.CreateDeploymentRequest(
                parent="projects/default", deployment_id="flowers", deployment=deployment
            )
        )
        await eventually(lambda: self.running.client.is_model_ready("flowers", headers=self.running.headers))
        if drift.enabled:
            await eventually(self.is_watched)

    async def is_watched(self) -> bool:
        found = await self.drift()
        return bool(found.versions) and (found.versions[0].HasField("since_time") or "NO_" in found.versions[0].note)

    def rows(self, shift: float = 0.0) -> Rows:
        return self.random.normal(shift, size=(ROWS, 4)).astype(np.float32)

    async def ask(self, rows: Rows) -> None:
        given = triton.InferInput("x", list(rows.shape), "FP32")
        given.set_data_from_numpy(rows)
        await self.running.client.infer("flowers", [given], headers=self.running.headers)

    async def drift(self, version: str = "") -> drift_pb2.DeploymentDrift:
        stub = drift_pb2_grpc.DriftServiceStub(self.running.admin)
        return await stub.GetDrift(drift_pb2.GetDriftRequest(name=NAME, version=version))

    async def window(self, rows: Rows) -> dict[str, drift_pb2.FeatureDrift]:
        """The features of the window that is made of these rows."""
        before = (await self.drift()).versions[0].last
        await self.ask(rows)

        async def is_judged() -> bool:
            found = (await self.drift()).versions[0]
            return found.HasField("last") and found.last != before

        await eventually(is_judged)
        return {each.feature: each for each in (await self.drift()).versions[0].last.features}

    async def incident(self) -> incidents_pb2.Incident:
        """The only one there is."""
        listed = await self.incidents.ListIncidents(incidents_pb2.ListIncidentsRequest(parent="projects/default"))
        assert len(listed.incidents) == 1
        return await self.incidents.GetIncident(incidents_pb2.GetIncidentRequest(name=listed.incidents[0].name))


class Restartable:
    """Starts services on the same stores, one after the other."""

    def __init__(self, start_service: StartService, connect: Connect, token_for: TokenFor) -> None:
        self.stores = MemoryModels(), MemoryRecords(), MemoryDeployments()
        self.profiles = MemoryProfiles({(DATA, "train"): profile_of_normal()})
        self.references = MemoryReferences()
        self._start, self._connect, self._token_for = start_service, connect, token_for
        self.clients: list[Any] = []

    async def start(self) -> Watched:
        async def build(settings: Settings) -> Service:
            service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
            outside = in_memory(*self.stores)
            wire(service, settings, dataclasses.replace(outside, profiles=self.profiles, references=self.references))
            return service

        service = await self._start(
            build, Settings, database_url="", redis_url="", resolve_interval_s=0.02, record_flush_interval_s=0.01
        )
        client = triton.InferenceServerClient(service.address)
        self.clients.append(client)
        headers = {"authorization": f"Bearer {self._token_for(Role.READER, subject='reader')}"}
        stub = service_pb2_grpc.GRPCInferenceServiceStub(self._connect(service.address, Role.READER))
        admin = self._connect(service.address, Role.ADMIN)
        running = Running(service, *self.stores, client, stub, headers, admin)
        return Watched(running, self.profiles, np.random.default_rng(1))


@pytest_asyncio.fixture
async def stores(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[Restartable]:
    found = Restartable(start_service, connect, token_for)
    yield found
    for client in found.clients:
        await client.close()


@pytest_asyncio.fixture
async def watched(stores: Restartable) -> Watched:
    return await stores.start()


def rules(**more: Any) -> drift_pb2.Drift:
    """A window is one request; the columns have names."""
    columns = drift_pb2.FollowedTensor(name="x", columns=COLUMNS)
    return drift_pb2.Drift(enabled=True, inputs=[columns], window_ms=1, min_rows=ROWS, first_rows=ROWS, **more)


async def test_requests_that_are_unlike_the_training_data_are_an_incident_until_they_are_like_it_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], token: str
) -> None:
    """M-105, P-36, P-40: of the dataset version that the registry says the model was trained on."""
    watched.add(DATA)
    await watched.serve(rules())
    steady = await watched.window(watched.rows())
    assert {each.level for each in steady.values()} == {_Level.LEVEL_STEADY}
    assert steady["x.age"].baseline == f"{PROFILE}, split train, column age"

    shifted = watched.rows()
    shifted[:, 1] += 1.0
    found = await watched.window(shifted)
    assert found["x.height"].level == _Level.LEVEL_ALERT
    assert found["x.height"].psi > 0.2
    assert found["x.height"].ks > 0.2
    assert found["x.age"].level == _Level.LEVEL_STEADY

    incident = await watched.incident()
    assert (incident.kind, incident.state) == (_Kind.KIND_DRIFTED, _State.STATE_OPEN)
    assert "x.height: PSI" in incident.reason
    assert incident.versions[0].model_version == "projects/default/models/flowers/versions/1"
    assert "x.height" in [each.feature for each in incident.drifted]
    assert sum(each.observed for each in incident.drifted[0].bins) == pytest.approx(1)
    assert incident.requests

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{watched.running.service.admin_port}") as http:
        text = (await http.get("/metrics", headers=watched.running.headers)).text
    labels = f'{{deployment="{NAME}",feature="x.height",kind="input",version="1"}}'
    assert f"headwater_drift_level{labels} 2.0" in text
    assert f"headwater_drift_psi{labels} {found['x.height'].psi}" in text

    monkeypatch.setenv("HEADWATER_TOKEN", token)
    monkeypatch.setenv("HEADWATER_INFERENCE_ADDRESS", watched.running.service.address)
    with pytest.raises(SystemExit, match="0"):
        await asyncio.to_thread(cli.main, ["deployment", "drift", "flowers", "x.height"])
    printed = capsys.readouterr().out
    assert "alert" in printed
    assert PROFILE in printed

    await watched.window(watched.rows())
    assert (await watched.incident()).state == _State.STATE_RECOVERED


async def test_what_no_profile_tells_is_compared_with_the_first_requests_even_after_a_restart(
    stores: Restartable,
) -> None:
    """M-105: a column that the profile lacks, and predictions."""
    first = await stores.start()
    first.add(DATA)
    await first.serve(rules(features=["x.unheard", "y.largest"]))
    await first.ask(first.rows())

    async def is_learned() -> bool:
        return bool(stores.references._kept) and not (await first.drift()).versions[0].learning

    await eventually(is_learned)
    await first.running.service.stop()

    second = await stores.start()
    await eventually(lambda: second.running.client.is_model_ready("flowers", headers=second.running.headers))
    await eventually(second.is_watched)
    found = await second.window(second.rows(shift=1.0))
    assert {name: each.level for name, each in found.items()} == {
        "x.unheard": _Level.LEVEL_ALERT,
        "y.largest": _Level.LEVEL_ALERT,
    }
    assert found["x.unheard"].baseline == f"the first {ROWS} rows that the version was asked"


async def test_a_deployment_says_why_it_is_not_compared_with_what_it_names(watched: Watched) -> None:
    watched.add()
    await watched.serve(rules(dataset_version="projects/default/datasets/none/versions/1"))
    version = (await watched.drift()).versions[0]
    assert "projects/default/datasets/none/versions/1 has no profile" in version.note
    assert not version.HasField("since_time")


async def test_without_training_data_the_note_says_what_is_compared_with(watched: Watched, token_for: TokenFor) -> None:
    watched.add()
    await watched.serve(rules())
    assert "none is known" in (await watched.drift()).versions[0].note
    with pytest.raises(NotFound, match="served=1"):
        await watched.drift("2")

    def off_and_on() -> tuple[drift_pb2.DeploymentDrift, drift_pb2.Drift]:
        address = watched.running.service.address
        with Connection(Endpoints(inference=address), token_for(Role.WRITER)) as connection:
            drifts.stop(connection, DeploymentName.parse(NAME))
            off = drifts.get(connection, DeploymentName.parse(NAME))
            return off, drifts.watch(connection, DeploymentName.parse(NAME), drift_pb2.Drift(min_rows=7))

    off, on = await asyncio.to_thread(off_and_on)
    assert (off.enabled, len(off.versions)) == (False, 0)
    assert (on.enabled, on.min_rows, on.first_rows, on.alert_psi) == (True, 7, 1000, 0.2)


async def test_what_is_redacted_is_not_looked_at(watched: Watched) -> None:
    watched.add(DATA)
    recording = {"inputs": [{"name": "x", "columns": COLUMNS, "redacted_columns": ["age"]}]}
    drift = rules()
    del drift.inputs[:]
    await watched.serve(drift, recording=recording)
    assert "x.age" not in (found := await watched.window(watched.rows()))
    assert "x.height" in found


async def test_a_version_that_is_rolled_out_goes_back_when_it_drifts(watched: Watched) -> None:
    """N-10, M-105."""
    watched.add(DATA)
    await watched.serve(rules())
    watched.add(DATA, served=False)
    rollouts = rollouts_pb2_grpc.RolloutServiceStub(watched.running.admin)
    plan = rollouts_pb2.RolloutPlan(
        steps=[rollouts_pb2.RolloutStep(weight_percent=99.9, min_requests=1)],
        objectives=rollouts_pb2.RolloutObjectives(max_drift_psi=0.2),
    )
    request = rollouts_pb2.StartRolloutRequest(parent=NAME, candidate=routing_pb2.Variant(version="2"), plan=plan)
    rollout = await rollouts.StartRollout(request)

    async def is_over() -> bool:
        nonlocal rollout
        await watched.ask(watched.rows(shift=1.0))
        rollout = await rollouts.GetRollout(rollouts_pb2.GetRolloutRequest(name=rollout.name))
        return rollout.state == rollouts_pb2.Rollout.STATE_ROLLED_BACK

    await eventually(is_over)
    assert "has drifted by a PSI of" in rollout.events[-1].reason
    assert rollout.events[-1].evidence.drift_row_count >= ROWS


async def test_drift_is_no_objective_where_nobody_watches_it(watched: Watched) -> None:
    watched.add()
    await watched.serve(drift_pb2.Drift())
    watched.add(served=False)
    plan = rollouts_pb2.RolloutPlan(objectives=rollouts_pb2.RolloutObjectives(max_drift_psi=0.2))
    request = rollouts_pb2.StartRolloutRequest(parent=NAME, candidate=routing_pb2.Variant(version="2"), plan=plan)
    with pytest.raises(InvalidArgument, match="does not watch drift"):
        await rollouts_pb2_grpc.RolloutServiceStub(watched.running.admin).StartRollout(request)


@pytest.mark.parametrize(
    ("drift", "text"),
    [
        ({"warn_psi": 0.5, "alert_psi": 0.1}, "warn_psi must not be above alert_psi"),
        ({"inputs": [{"name": "x"}, {"name": "x"}]}, "named twice"),
        ({"dataset_version": "flowers"}, "datasets"),
        ({"false_alarms": 1.0}, "false_alarms"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(watched: Watched, drift: Any, text: str) -> None:
    watched.add()
    with pytest.raises(InvalidArgument, match=text):
        await watched.serve(drift_pb2.Drift(**drift))
