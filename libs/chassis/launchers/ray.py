"""Gangs and maps on a Ray cluster: an existing one, or a private one on this machine."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from chassis.launchers import ray_member
from chassis.launchers.protocol import MAX_KILLS, DoesNotFit, Gang, Item, Launcher, MapResult, Value, WorkerKilled
from chassis.launchers.ray_gang import RayGang
from chassis.launchers.spec import GangSpec, InvalidGang


class RayLauncher(Launcher):
    """Runs gangs in placement groups and maps as tasks. Connects when first used; then this process is a Ray driver.

    Args:
        address: an existing cluster (``auto``, ``ray://host:10001``, ``host:6379``); empty starts one on this machine,
            which ends with :meth:`close`.
        cpus: CPU cores of a private cluster; None takes the machine's.
        autoscaling: the cluster grows on demand, so what does not fit into it now is waited for.
    """

    def __init__(self, address: str = "", *, cpus: int | None = None, autoscaling: bool = False) -> None:
        self._address = address
        self._cpus = cpus
        self._autoscaling = autoscaling
        self._connecting = asyncio.Lock()
        self._ray: Any = None
        self._gangs: set[RayGang] = set()

    async def start(self, spec: GangSpec) -> Gang:
        """See Launcher. Where the cluster is busy, the gang waits for its turn."""
        ray = await self._connect()
        if not self._address and spec.cwd is not None and not spec.cwd.is_dir():
            raise InvalidGang(f"The working directory {spec.cwd} does not exist.", field="cwd")
        self._check_fits(spec)
        gang = RayGang(ray, spec)
        self._gangs.add(gang)
        gang.ended.add_done_callback(lambda _: self._gangs.discard(gang))
        return gang

    async def map(
        self, function: Callable[[Item], Value], items: Iterable[Item], *, workers: int
    ) -> AsyncIterator[MapResult[Value]]:
        """See Launcher."""
        ray = await self._connect()
        task = ray.remote(num_cpus=1, max_retries=MAX_KILLS - 1)(function)
        turns = asyncio.Semaphore(workers)

        async def run(index: int, item: Item) -> MapResult[Value]:
            async with turns:
                reference = task.remote(item)
                try:
                    return MapResult(index, await asyncio.wrap_future(reference.future()))
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    return MapResult(index, error=cause if isinstance(cause, Exception) else error)
                except ray.exceptions.RayError:
                    return MapResult(index, error=WorkerKilled(item=index, times=MAX_KILLS))
                except asyncio.CancelledError:
                    ray.cancel(reference, force=True)
                    raise

        running: list[asyncio.Task[MapResult[Value]]] = []
        numbered = enumerate(items)
        try:
            while True:
                while len(running) < 2 * workers and (item := next(numbered, None)) is not None:
                    running.append(asyncio.create_task(run(*item)))
                if not running:
                    break
                yield await running.pop(0)
        finally:
            for waiting in running:
                waiting.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        """See Launcher."""
        await asyncio.gather(*(gang.stop(grace_s=1) for gang in self._gangs))
        if self._ray is not None:
            await asyncio.to_thread(self._ray.shutdown)
            self._ray = None

    async def _connect(self) -> Any:
        async with self._connecting:
            if self._ray is None:
                self._ray = await asyncio.to_thread(self._init)
        return self._ray

    def _init(self) -> Any:
        ray: Any = importlib.import_module("ray")  # not above: it takes seconds, and not everybody has installed it

        ray.cloudpickle.register_pickle_by_value(ray_member)
        where = {"address": self._address} if self._address else {"num_cpus": self._cpus, "include_dashboard": False}
        ray.init(**where, log_to_driver=False, configure_logging=False, namespace="headwater")
        return ray

    def _check_fits(self, spec: GangSpec) -> None:
        if self._autoscaling:
            return
        there = self._ray.cluster_resources()
        for what, name, asked in (
            ("CPU cores", "CPU", spec.cpus),
            ("bytes of memory", "memory", spec.memory_bytes),
            ("GPUs", "GPU", spec.gpus),
        ):
            if asked * spec.processes > there.get(name, 0):
                raise DoesNotFit(
                    f"{asked * spec.processes:g} {what} are asked for; the cluster has {there.get(name, 0):g}."
                )
