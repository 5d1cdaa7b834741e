"""Gangs and maps, on this machine and on a Ray cluster."""

import asyncio
import contextlib
import gc
import re
import sys
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from chassis.launchers import (
    DoesNotFit,
    GangResult,
    GangSpec,
    InvalidGang,
    Launcher,
    LocalLauncher,
    RayLauncher,
    WorkerKilled,
)
from chassis.testing import eventually
from chassis.testing.bad_inputs import BAD_ENVIRONMENTS, BAD_QUANTITIES
from tests.contract.chassis import launcher_work

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SUM_OVER_RANKS = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
print(f"total {total.item()} of {dist.get_world_size()}\\n", end="")
dist.destroy_process_group()
"""
BOTH_HAVE_STARTED = """
import os, pathlib, sys, signal, time
rank, attempt = os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]
pathlib.Path(f"started-{attempt}-{rank}").touch()
while not all(pathlib.Path(f"started-{attempt}-{other}").exists() for other in "01"):
    time.sleep(0.01)
"""
EXIT_3_ON_RANK_1 = f"""{BOTH_HAVE_STARTED}
print(f"pid {{os.getpid()}}\\n", end="")
if rank == "1":
    sys.exit(3)
time.sleep(60)
"""
DIE_ON_RANK_1_AT_FIRST = f"""{BOTH_HAVE_STARTED}
print(f"rank {{rank}} attempt {{attempt}}\\n", end="")
if attempt == "0":
    if rank == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
"""
SAY_GOODBYE_ON_SIGTERM = """
import signal, sys, time
def goodbye(*_):
    print("goodbye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, goodbye)
print("ready", flush=True)
time.sleep(60)
"""
IGNORE_SIGTERM_AND_SO_DOES_A_CHILD = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("pid", child.pid, flush=True)
print("ready", flush=True)
time.sleep(60)
"""
PRINT_ENVIRONMENT = "import os; print(sorted(os.environ), flush=True)"
PRINT_ARGUMENTS = "import sys; print(sys.argv[1:], flush=True)"
PRINT_WITHOUT_END = """
line = b"x" * 65535 + b"\\n"
import sys
for _ in range(1600):
    sys.stdout.buffer.write(line)
"""
SERVICE_WITH_A_GANG = """
import asyncio, pathlib, sys
from chassis.launchers import GangSpec, LocalLauncher
code = "import os, time; print(f'pid {os.getpid()} ready', flush=True); time.sleep(60)"
async def main():
    gang = await LocalLauncher().start(GangSpec((sys.executable, "-c", code), log=pathlib.Path(sys.argv[1])))
    await gang.wait()
asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "ray"])
async def launcher(request: pytest.FixtureRequest) -> AsyncIterator[Launcher]:
    launcher: Launcher = LocalLauncher(gpus=[]) if request.param == "local" else RayLauncher(cpus=2)
    yield launcher
    await launcher.close()
    with warnings.catch_warnings():
        # Ray does not wait for the processes that it has ended, of which Python warns when it collects their handles.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def python(code: str, *arguments: str, **fields: object) -> GangSpec:
    return GangSpec((sys.executable, "-c", code, *arguments), cpus=0.5, **fields)  # type: ignore[arg-type]


async def test_the_processes_form_one_torch_process_group(launcher: Launcher, log: Path) -> None:
    """Row P-12: gradients are synchronized over it."""
    result = await _run(launcher, python(SUM_OVER_RANKS, processes=2, log=log))
    assert result == GangResult(succeeded=True)
    assert _text(log).count("total 3.0 of 2") == 2


async def test_when_one_process_fails_all_end_and_the_first_is_named(
    launcher: Launcher, log: Path, tmp_path: Path
) -> None:
    result = await _run(launcher, python(EXIT_3_ON_RANK_1, processes=2, cwd=tmp_path, log=log))
    assert result == GangResult(succeeded=False, detail="Rank 1 exited with code 3.")
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", _text(log))]
    assert len(pids) == 2
    assert _running(pids) == []


async def test_a_gang_starts_again_as_a_whole_when_a_process_was_killed(
    launcher: Launcher, log: Path, tmp_path: Path
) -> None:
    """Row P-12: fault tolerance."""
    spec = python(DIE_ON_RANK_1_AT_FIRST, processes=2, max_restarts=1, cwd=tmp_path, log=log)
    result = await _run(launcher, spec)
    assert result == GangResult(succeeded=True)
    for rank in "01":
        for attempt in "01":
            assert f"rank {rank} attempt {attempt}" in _text(log)


async def test_when_restarts_are_used_up_the_gang_has_failed(launcher: Launcher) -> None:
    result = await _run(launcher, python("import sys; sys.exit(4)", max_restarts=1))
    assert result == GangResult(succeeded=False, detail="Rank 0 exited with code 4.")


async def test_a_stopped_gang_is_asked_to_end_first(launcher: Launcher, log: Path) -> None:
    gang = await launcher.start(python(SAY_GOODBYE_ON_SIGTERM, log=log))
    await eventually(lambda: "ready" in _text(log))
    await gang.stop(grace_s=20)
    assert await gang.wait() == GangResult(succeeded=False, detail="It was stopped.")
    assert "goodbye" in _text(log)


async def test_a_gang_that_does_not_end_is_killed_with_its_children(launcher: Launcher, log: Path) -> None:
    gang = await launcher.start(python(IGNORE_SIGTERM_AND_SO_DOES_A_CHILD, log=log))
    await eventually(lambda: "ready" in _text(log))
    child = int(re.findall(r"pid (\d+)", _text(log))[0])
    pids = await eventually(lambda: gang.pids)
    await gang.stop(grace_s=0.2)
    assert _running([*pids, child]) == []


async def test_the_services_own_secrets_are_not_inherited(
    launcher: Launcher, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_DATABASE_URL", "postgresql://u:secret@h/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    await _run(launcher, python(PRINT_ENVIRONMENT, env={"EPOCHS": "3"}, log=log))
    assert "'EPOCHS'" in _text(log)
    assert "'PATH'" in _text(log)
    assert "HEADWATER_DATABASE_URL" not in _text(log)
    assert "AWS_SECRET_ACCESS_KEY" not in _text(log)


async def test_arguments_arrive_as_they_are(launcher: Launcher, log: Path) -> None:
    arguments = ["$(touch canary)", "a b", "; rm -rf .", "", "--flag", "*"]
    assert (await _run(launcher, python(PRINT_ARGUMENTS, *arguments, log=log))).succeeded
    assert str(arguments) in _text(log)


async def test_a_gang_runs_in_its_working_directory(launcher: Launcher, log: Path, tmp_path: Path) -> None:
    await _run(launcher, python("import os; print(os.getcwd(), flush=True)", cwd=tmp_path, log=log))
    assert str(tmp_path) in _text(log)


async def test_a_log_keeps_within_its_bound_and_the_gang_goes_on(launcher: Launcher, log: Path) -> None:
    """Promise 8; 100 MB are printed."""
    result = await _run(launcher, python(PRINT_WITHOUT_END, log=log, log_max_bytes=10_000))
    assert result.succeeded
    assert len(_text(log)) < 10_100
    assert _text(log).endswith("[The log is full; the rest is dropped.]\n")


async def test_a_program_that_does_not_exist_is_a_failure(launcher: Launcher) -> None:
    result = await _run(launcher, GangSpec(("/no/such/program",), cpus=0.5))
    assert not result.succeeded
    assert result.detail


async def test_more_than_there_is_is_refused(launcher: Launcher) -> None:
    for spec in (
        GangSpec(("true",), cpus=50_000),
        GangSpec(("true",), processes=4096),
        GangSpec(("true",), memory_bytes=2**50),
        GangSpec(("true",), gpus=1),
    ):
        with pytest.raises(DoesNotFit):
            await launcher.start(spec)


async def test_a_working_directory_that_does_not_exist_is_refused(launcher: Launcher, tmp_path: Path) -> None:
    with pytest.raises(InvalidGang):
        await launcher.start(python("", cwd=tmp_path / "missing"))


async def test_a_map_gives_its_results_in_the_order_of_the_items(launcher: Launcher) -> None:
    results = [result async for result in launcher.map(launcher_work.later_ones_sooner, range(6), workers=2)]
    assert [result.index for result in results] == list(range(6))
    assert [result.unwrap() for result in results] == list(range(6))


async def test_a_map_works_in_other_processes_at_the_same_time(launcher: Launcher) -> None:
    pids = [pid.unwrap() async for pid in launcher.map(launcher_work.sleep_and_name_process, 4 * [0.5], workers=2)]
    assert len(set(pids)) == 2
    assert psutil.Process().pid not in pids


async def test_a_map_reads_its_items_only_as_far_ahead_as_needed(launcher: Launcher) -> None:
    """Promise 8: a million items take no memory."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1_000_000):
            taken += 1
            yield number

    results = launcher.map(launcher_work.square, items(), workers=2)
    async with contextlib.aclosing(results):  # type: ignore[type-var]
        assert [(await anext(results)).unwrap() for _ in range(3)] == [0, 1, 4]
        assert taken <= 3 + 2 * 2


async def test_an_item_that_is_refused_is_set_aside_and_the_others_go_on(launcher: Launcher) -> None:
    results = [result async for result in launcher.map(launcher_work.refuse_three, range(6), workers=2)]
    assert [result.value for result in results] == [0, 1, 2, None, 4, 5]
    with pytest.raises(ValueError, match="three"):
        results[3].unwrap()


async def test_an_item_that_kills_its_worker_each_time_is_set_aside_and_the_others_go_on(launcher: Launcher) -> None:
    results = [result async for result in launcher.map(launcher_work.die_on_three, range(6), workers=2)]
    assert [result.value for result in results] == [0, 1, 2, None, 4, 5]
    with pytest.raises(WorkerKilled):
        results[3].unwrap()


async def test_a_map_whose_consumer_stops_leaves_no_work_running(launcher: Launcher, tmp_path: Path) -> None:
    """Promise 9."""
    places = [(str(tmp_path), number) for number in range(4)]

    async def consume() -> None:
        async for _ in launcher.map(launcher_work.note_and_sleep, places, workers=2):
            pytest.fail("the items never end by themselves")

    consuming = asyncio.create_task(consume())
    pids = await eventually(lambda: noted if len(noted := _noted_pids(tmp_path)) == 2 else [])
    consuming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await consuming
    await eventually(lambda: not _running(pids))
    assert len(_noted_pids(tmp_path)) == 2


async def test_a_gang_does_not_outlive_the_service_that_started_it(log: Path, tmp_path: Path) -> None:
    """Also when the service is killed; on a cluster Ray ends the actors, and they their processes."""
    service = tmp_path / "service.py"
    service.write_text(SERVICE_WITH_A_GANG)
    process = await asyncio.create_subprocess_exec(sys.executable, str(service), str(log))
    await eventually(lambda: "ready" in _text(log))
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", _text(log))]
    assert _running(pids) == pids
    process.kill()
    await process.wait()
    await eventually(lambda: not _running(pids))


@pytest.mark.parametrize("field", ["processes", "max_restarts", "cpus", "memory_bytes", "gpus", "log_max_bytes"])
@pytest.mark.parametrize("value", BAD_QUANTITIES.values(), ids=BAD_QUANTITIES)
async def test_absurd_resources_are_refused_by_name(field: str, value: float) -> None:
    if field in ("memory_bytes", "log_max_bytes") and value == BAD_QUANTITIES["absurd"]:
        value *= 10_000  # a terabyte is not absurd
    with pytest.raises(InvalidGang) as refused:
        GangSpec(("true",), **{field: value})  # type: ignore[arg-type]
    assert refused.value.metadata["field"] == field


@pytest.mark.parametrize(("name", "value"), BAD_ENVIRONMENTS.values(), ids=BAD_ENVIRONMENTS)
async def test_bad_environment_variables_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidGang):
        GangSpec(("true",), env={name: value})


@pytest.mark.parametrize("argv", [(), ("",), ("a", "b\0c")])
async def test_bad_commands_are_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(InvalidGang):
        GangSpec(argv)


async def _run(launcher: Launcher, spec: GangSpec) -> GangResult:
    return await (await launcher.start(spec)).wait()


def _text(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def _noted_pids(folder: Path) -> list[int]:
    return [int(text) for file in folder.iterdir() if (text := file.read_text())]


def _running(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
