"""One gang on a Ray cluster: a placement group, and an actor for each rank."""

import asyncio
import math
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chassis.launchers import guard
from chassis.launchers.logs import BoundedLog
from chassis.launchers.protocol import Gang, GangResult, describe_exit
from chassis.launchers.ray_member import Member
from chassis.launchers.spec import INHERITED, LOOPBACK, GangSpec

_GUARD = Path(guard.__file__).read_text()
_POLL_S = 0.3
_FAILURE_GRACE_S = 5.0
"""How long the others may go on after one rank failed."""


class RayGang(Gang):
    """A gang; it starts when the cluster has room for all of it."""

    def __init__(self, ray: Any, spec: GangSpec) -> None:
        self._ray = ray
        self._spec = spec
        self._log = BoundedLog(spec.log, spec.log_max_bytes)
        self._members: list[Any] = []
        self._pids: list[int] = []
        self._stopping = asyncio.Event()
        self.ended = asyncio.create_task(self._supervise())

    @property
    def pids(self) -> tuple[int, ...]:
        """See Gang."""
        return tuple(pid for pid in self._pids if pid)

    async def wait(self) -> GangResult:
        """See Gang."""
        return await asyncio.shield(self.ended)

    async def stop(self, grace_s: float = 10.0) -> None:
        """See Gang."""
        if self.ended.done():
            return
        self._stopping.set()
        await self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self.ended], timeout=grace_s)
        if not done:
            await self._signal(signal.SIGKILL)
            await self.wait()

    async def _supervise(self) -> GangResult:
        bundle = {"CPU": self._spec.cpus, "GPU": self._spec.gpus, "memory": self._spec.memory_bytes}
        bundle = {name: amount for name, amount in bundle.items() if amount} or {"CPU": 0.001}
        group = self._ray.util.placement_group([bundle] * self._spec.processes, strategy="PACK")
        failure = ""
        try:
            await self._until_stopped(group.ready())
            for attempt in range(self._spec.max_restarts + 1):
                if self._stopping.is_set():
                    break
                failure = await self._attempt(group, bundle, attempt)
                if not failure:
                    break
            if self._stopping.is_set():
                return GangResult(succeeded=False, detail="It was stopped.")
            return GangResult(succeeded=not failure, detail=failure)
        finally:
            self._pids = []
            self._log.close()
            self._ray.util.remove_placement_group(group)

    async def _attempt(self, group: Any, bundle: dict[str, float], attempt: int) -> str:
        """Run the gang once; returns what failed first, or nothing when all succeeded."""
        scheduling = self._ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
        needs = {"num_cpus": self._spec.cpus, "num_gpus": self._spec.gpus, "memory": bundle.get("memory")}
        actor = self._ray.remote(max_concurrency=4, **needs)(Member)
        ranks = range(self._spec.processes)
        self._members = [actor.options(scheduling_strategy=scheduling(group, rank)).remote() for rank in ranks]
        try:
            places = await asyncio.gather(*(_result(member.place.remote()) for member in self._members))
            if self._stopping.is_set():
                return ""
            runs: dict[asyncio.Future[int], int] = {}
            for rank, member in enumerate(self._members):
                environment = {**self._spec.env, **rank_environment(places, rank, attempt, self._spec.cpus)}
                cwd = str(self._spec.cwd or "")
                runs[_result(member.run.remote(_GUARD, self._spec.argv, environment, INHERITED, cwd))] = rank
            return await self._first_failure(runs)
        except self._ray.exceptions.RayError as error:
            return f"A host was lost: {type(error).__name__}."
        finally:
            for member in self._members:
                self._ray.kill(member)
            self._members = []

    async def _first_failure(self, runs: dict[asyncio.Future[int], int]) -> str:
        failure = ""
        give_up = math.inf
        while runs and time.monotonic() < give_up + _FAILURE_GRACE_S:
            done, _ = await asyncio.wait(runs, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
            failed = [text for run in done if (text := self._describe(runs.pop(run), run))]
            if failed and not failure:
                failure = failed[0]
                give_up = time.monotonic() + _FAILURE_GRACE_S
                await self._signal(signal.SIGTERM)
            elif time.monotonic() > give_up:
                await self._signal(signal.SIGKILL)
            await self._collect()
        return failure

    def _describe(self, rank: int, run: asyncio.Future[int]) -> str:
        error = run.exception()
        if error is not None:
            return f"Rank {rank} was lost: {type(error).__name__}."
        return describe_exit(f"Rank {rank}", run.result()) if run.result() else ""

    async def _collect(self) -> None:
        """Take over what the members' processes have printed, and their ids."""
        statuses = await self._ask("status")
        self._pids = [status[0] for status in statuses]
        for status in statuses:
            self._log.write(status[1])

    async def _signal(self, number: signal.Signals) -> None:
        await self._ask("signal", int(number))

    async def _ask(self, method: str, *arguments: object) -> list[Any]:
        """Call every member that answers."""
        calls = [_result(getattr(member, method).remote(*arguments)) for member in self._members]
        if not calls:
            return []
        done, hanging = await asyncio.wait(calls, timeout=_FAILURE_GRACE_S)
        for call in hanging:
            call.cancel()
        return [call.result() for call in calls if call in done and call.exception() is None]

    async def _until_stopped(self, reference: Any) -> None:
        ready, stopping = _result(reference), asyncio.create_task(self._stopping.wait())
        await asyncio.wait([ready, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if ready.done():
            ready.result()


def rank_environment(places: Sequence[Mapping[str, Any]], rank: int, attempt: int, cpus: float) -> dict[str, str]:
    """The variables that tell a process its part in the gang; ``places`` are those of all ranks, in order."""
    node = places[rank]["node"]
    neighbours = [number for number, place in enumerate(places) if place["node"] == node]
    alone = len(neighbours) == len(places)
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(len(places)),
        "LOCAL_RANK": str(neighbours.index(rank)),
        "LOCAL_WORLD_SIZE": str(len(neighbours)),
        "MASTER_ADDR": "127.0.0.1" if alone else places[0]["host"],
        "MASTER_PORT": str(places[0]["port"]),
        "TORCHELASTIC_RESTART_COUNT": str(attempt),
        # All GPUs that the gang has on this node, so that LOCAL_RANK is this rank's among them, as under torchrun.
        "CUDA_VISIBLE_DEVICES": ",".join(gpu for number in neighbours for gpu in places[number]["gpus"]),
        "OMP_NUM_THREADS": str(max(1, int(cpus))),
        "PYTHONUNBUFFERED": "1",
        **({"GLOO_SOCKET_IFNAME": LOOPBACK} if alone else {}),
    }


def _result(reference: Any) -> asyncio.Future[Any]:
    return asyncio.wrap_future(reference.future())
