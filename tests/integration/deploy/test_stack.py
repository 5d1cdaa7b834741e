"""`make up` and `make down`: starts what is missing, says what is in the way, leaves nothing behind."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chassis.embedded import EmbeddedPostgres, EmbeddedValkey
from deploy.local.errors import StackError
from deploy.local.processes import Processes, runs
from deploy.local.programs import PROGRAMS, free_ports
from deploy.local.screen import table
from deploy.local.stack import Stack
from deploy.local.state import State
from deploy.ports import HOST
from headwater.client import Connection
from headwater.registry.v1 import projects_pb2, projects_pb2_grpc

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def home(servers_dir: Path) -> Iterator[Path]:
    directory = servers_dir / f"stack-{time.monotonic_ns()}"
    yield directory
    Stack(directory, report=print).down()


def _list_projects(home: Path) -> None:
    with Connection.discover({"HEADWATER_HOME": str(home)}) as connection:
        stub = projects_pb2_grpc.ProjectServiceStub(connection.channel("registry"))
        stub.ListProjects(projects_pb2.ListProjectsRequest())


def test_up_starts_everything_then_only_what_is_missing_and_down_leaves_nothing(home: Path) -> None:
    Stack(home, report=print).up(free_ports())
    processes = Processes(home)
    first = {program.name: processes.find(program.name) for program in PROGRAMS}
    _list_projects(home)
    assert (home / "auth.key").stat().st_mode & 0o777 == 0o600
    assert (home / "token").stat().st_mode & 0o777 == 0o600
    token = (home / "token").read_text()

    gateway = first["gateway"]
    assert gateway is not None
    gateway.kill()
    gateway.wait(10)
    said: list[str] = []
    Stack(home, report=said.append).up(free_ports())
    assert [line.split()[0] for line in said] == ["gateway"]
    now = {program.name: processes.find(program.name) for program in PROGRAMS}
    assert {name for name in now if now[name] != first[name]} == {"gateway"}
    assert (home / "token").read_text() == token
    _list_projects(home)

    shown = table(Stack(home, report=print))
    assert shown.count(" ready ") == len(PROGRAMS) + 2
    assert token not in shown

    pids = [EmbeddedPostgres(home / "postgres").pid, EmbeddedValkey(home / "valkey").pid]
    before = [*now.values(), *(psutil.Process(pid) for pid in pids)]
    Stack(home, report=said.append).down()
    assert not any(runs(process) for process in before if process)
    assert said[-1].startswith("stopped: registry, dataset")
    assert not (home / "endpoints.json").exists()


def test_a_port_in_use_is_named_with_its_user_and_the_remedy(home: Path) -> None:
    ports = {name: dict(settings) for name, settings in free_ports().items()}
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        ports["dataset"]["flight_port"] = taken = other.getsockname()[1]
        with pytest.raises(StackError) as refused:
            Stack(home, report=print).up(ports)
    assert f"Port {taken}, which dataset needs, is in use by process" in str(refused.value)
    assert "PORTS=free" in str(refused.value)
    assert not any(Processes(home).find(program.name) for program in PROGRAMS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HEADWATER_CACHE_SIZE_BITES", "No service has the setting HEADWATER_CACHE_SIZE_BITES"),
        ("HEADWATER_FLIGHT_PORT", "The local stack itself decides HEADWATER_FLIGHT_PORT"),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(
    name: str, words: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(StackError, match=words):
        Stack(home, report=print).up(free_ports())


def test_a_service_that_cannot_start_is_named_with_its_last_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_LEASE_S", "-1")
    with pytest.raises(StackError) as failed:
        Stack(home, report=print).up(free_ports())
    assert "ended while starting" in str(failed.value)
    assert "HEADWATER_LEASE_S" in str(failed.value)


def test_servers_of_the_user_take_the_place_of_the_embedded_ones(
    home: Path, empty_postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_DATABASE_URL", empty_postgres_url)
    monkeypatch.setenv("HEADWATER_REDIS_URL", redis_url)
    Stack(home, report=print).up(free_ports())
    _list_projects(home)
    assert not (home / "postgres").exists()
    assert not (home / "valkey").exists()


def test_the_ports_of_what_runs_are_remembered(tmp_path: Path) -> None:
    state = State(tmp_path)
    ports = free_ports()
    state.save_ports(ports)
    assert State(tmp_path).ports() == json.loads(json.dumps(ports))
