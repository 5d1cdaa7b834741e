"""Gangs and maps on this machine."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import psutil

from chassis.launchers.logs import BoundedLog
from chassis.launchers.pool import map_in_processes
from chassis.launchers.protocol import DoesNotFit, Gang, GangResult, Item, Launcher, MapResult, Value, describe_exit
from chassis.launchers.spec import INHERITED, LOOPBACK, GangSpec, InvalidGang

_MARK = "HEADWATER_GANG"
_AGENT = Path(__file__).with_name("agent.py")


class LocalLauncher(Launcher):
    """Runs gangs under a ``torch.distributed.elastic`` agent each, and maps in a process pool each.

    Args:
        gpus: the GPUs that may be used, by the names that CUDA_VISIBLE_DEVICES knows; None takes all of the machine.
    """

    def __init__(self, gpus: Iterable[str] | None = None) -> None:
        self._free_gpus = _all_gpus() if gpus is None else list(gpus)
        self._gangs: set[LocalGang] = set()

    async def start(self, spec: GangSpec) -> Gang:
        """See Launcher."""
        self._check_fits(spec)
        if spec.cwd is not None and not spec.cwd.is_dir():
            raise InvalidGang(f"The working directory {spec.cwd} does not exist.", field="cwd")
        needed = spec.gpus * spec.processes
        gpus, self._free_gpus = self._free_gpus[:needed], self._free_gpus[needed:]
        gang = LocalGang(spec, gpus)
        try:
            await gang.start()
        except BaseException:
            self._free_gpus += gpus
            raise
        self._gangs.add(gang)

        def ended(_: object) -> None:
            self._gangs.discard(gang)
            self._free_gpus += gpus

        gang.ended.add_done_callback(ended)
        return gang

    def map(
        self, function: Callable[[Item], Value], items: Iterable[Item], *, workers: int
    ) -> AsyncIterator[MapResult[Value]]:
        """See Launcher."""
        return map_in_processes(function, items, workers)

    async def close(self) -> None:
        """See Launcher."""
        await asyncio.gather(*(gang.stop(grace_s=1) for gang in self._gangs))

    def _check_fits(self, spec: GangSpec) -> None:
        for what, asked, there in (
            ("CPU cores", spec.cpus * spec.processes, os.cpu_count() or 1),
            ("bytes of memory", spec.memory_bytes * spec.processes, psutil.virtual_memory().total),
            ("free GPUs", spec.gpus * spec.processes, len(self._free_gpus)),
        ):
            if asked > there:
                raise DoesNotFit(f"{asked:g} {what} are asked for, and this machine has {there}.")


class LocalGang(Gang):
    """A gang on this machine and the agent that runs it."""

    ended: asyncio.Task[GangResult]
    """How it ended; there from :meth:`start` on."""

    def __init__(self, spec: GangSpec, gpus: list[str]) -> None:
        self._spec = spec
        self._gpus = gpus
        self._mark = uuid.uuid4().hex
        self._stopped = False
        self._agent: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start the agent, which starts the gang."""
        output, print_to = os.pipe()
        outcome, tell_to = os.pipe()
        counts = [str(self._spec.processes), str(self._spec.max_restarts)]
        try:
            self._agent = await asyncio.create_subprocess_exec(
                *(sys.executable, str(_AGENT), str(tell_to), *counts, *self._spec.argv),
                cwd=self._spec.cwd,
                env=self._environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=print_to,
                stderr=print_to,
                pass_fds=[tell_to],
                start_new_session=True,
            )
        except BaseException:
            os.close(output)
            os.close(outcome)
            raise
        finally:
            os.close(print_to)
            os.close(tell_to)
        # A thread of its own: a gang that prints 1 GB/s must not keep the service from answering.
        log = BoundedLog(self._spec.log, self._spec.log_max_bytes)
        copying = threading.Thread(target=_copy, args=(output, log), name="gang log", daemon=True)
        copying.start()
        self.ended = asyncio.create_task(self._watch(outcome, copying))

    @property
    def pids(self) -> tuple[int, ...]:
        """See Gang."""
        return tuple(process.pid for process in self._processes() if process.pid != self._agent.pid)

    async def wait(self) -> GangResult:
        """See Gang."""
        return await asyncio.shield(self.ended)

    async def stop(self, grace_s: float = 10.0) -> None:
        """See Gang."""
        self._stopped = self._stopped or not self.ended.done()
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self.ended], timeout=grace_s)
        if not done:
            self._signal(signal.SIGKILL)
            await self.wait()

    async def _watch(self, outcome: int, copying: threading.Thread) -> GangResult:
        code = await self._agent.wait()
        # The agent may have been killed, or a process may have left its session: none of the gang outlives this.
        while self._processes():
            self._signal(signal.SIGKILL)
            await asyncio.sleep(0.01)
        await asyncio.to_thread(copying.join, timeout=5)
        assert self._agent.stdin is not None
        self._agent.stdin.close()
        try:
            return self._result(code, os.read(outcome, 4096))
        finally:
            os.close(outcome)

    def _result(self, code: int, outcome: bytes) -> GangResult:
        if self._stopped:
            return GangResult(succeeded=False, detail="It was stopped.")
        if code == 0:
            return GangResult(succeeded=True)
        if not outcome:
            return GangResult(succeeded=False, detail=describe_exit("The agent", code))
        told = json.loads(outcome)
        if "error" in told:
            return GangResult(succeeded=False, detail=f"The command could not be started: {told['error']}.")
        return GangResult(succeeded=False, detail=describe_exit(f"Rank {told['rank']}", told["code"]))

    def _environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "OMP_NUM_THREADS": str(max(1, int(self._spec.cpus))),
            **self._spec.env,
            _MARK: self._mark,
            "CUDA_VISIBLE_DEVICES": ",".join(self._gpus),
            "PYTHONUNBUFFERED": "1",
            # Without it a restart hangs with gloo; without the next gloo may choose an address that is not there.
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
            "GLOO_SOCKET_IFNAME": LOOPBACK,
        }

    def _processes(self) -> list[psutil.Process]:
        """All processes of the gang, also those that a dead agent left: they carry the gang's mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)


def _copy(output: int, log: BoundedLog) -> None:
    try:
        while data := os.read(output, 2**20):
            log.write(data)
    finally:
        log.close()
        os.close(output)


def _all_gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
