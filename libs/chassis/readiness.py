"""Whether a service can do its work: its preparations have succeeded and its dependencies answer (promise 11)."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable

import structlog

_TURN_S, _TURNS = 0.1, 20
_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0

Check = Callable[[], Awaitable[None]]

_log = structlog.get_logger("chassis.readiness")


class NotReady(Exception):
    """What a check raises to say why in words that may be public."""


@dataclasses.dataclass(slots=True)
class _Dependency:
    check: Check
    there: bool = False
    why: str = ""
    since: float = dataclasses.field(default_factory=time.monotonic)

    def saw(self, there: bool) -> bool:
        """Take note of what a check saw; whether that is news."""
        if there == self.there:
            return False
        self.there, self.since = there, time.monotonic()
        return True


class Readiness:
    """Asks the dependencies from time to time, runs the preparations until each has succeeded once, tells the news."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._dependencies: dict[str, _Dependency] = {}
        self._preparations: dict[str, Check] = {}
        self._draining = False
        self.changed = asyncio.Event()
        """Set whenever ``ready`` or ``prepared`` may have changed."""

    def add_check(self, name: str, check: Check) -> None:
        """``check`` returns if the dependency ``name`` is there, and raises if it is not."""
        self._dependencies[name] = _Dependency(check)

    def add_preparation(self, name: str, run: Check) -> None:
        """``run`` must succeed once, after those added before it, before the service can answer."""
        self._preparations[name] = run

    @property
    def prepared(self) -> bool:
        """Whether every preparation has succeeded."""
        return not self._preparations

    @property
    def ready(self) -> bool:
        """Whether calls will be answered well."""
        return self.prepared and not self._draining and all(each.there for each in self._dependencies.values())

    def report(self) -> dict[str, str]:
        """The state of each dependency in words that may be public."""
        now = time.monotonic()
        states = {
            name: "ok" if each.there else each.why or f"away for {now - each.since:.0f} s"
            for name, each in self._dependencies.items()
        }
        return states | dict.fromkeys(self._preparations, "not done yet") | ({"drain": "on"} if self._draining else {})

    def drain(self) -> None:
        """Not ready from here on."""
        self._draining = True
        self.changed.set()

    async def check_once(self) -> None:
        """Ask every dependency now, all at the same time, each for two seconds at most (see `_in_time`)."""
        await asyncio.gather(*(self._ask(name, each) for name, each in self._dependencies.items()))

    async def prepare_once(self) -> bool:
        """Run what is not prepared yet; whether that was the last of it."""
        for name, run in list(self._preparations.items()):
            try:
                await run()
            except Exception as error:
                _log.warning("preparation failed, will be tried again", preparation=name, exc_info=error)
                return False
            del self._preparations[name]
        self.changed.set()
        return True

    async def keep_preparing(self) -> None:
        """Prepare with a growing pause between attempts, until done."""
        delay_s = _FIRST_DELAY_S
        while not await self.prepare_once():
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    async def keep_checking(self) -> None:
        """Ask the dependencies at every interval, for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.check_once()

    async def _ask(self, name: str, dependency: _Dependency) -> None:
        try:
            await _in_time(dependency.check)
        except Exception as error:
            dependency.why = str(error) if isinstance(error, NotReady) else ""
            if dependency.saw(False):
                _log.warning("dependency is away", dependency=name, error=repr(error))
                self.changed.set()
        else:
            if dependency.saw(True):
                _log.info("dependency is there", dependency=name)
                self.changed.set()


async def _in_time(check: Check) -> None:
    """Run it; raises TimeoutError after two seconds, of which those do not count that the event loop was late itself.

    A process that has more to do than it can would else take its dependencies for absent, and send the load that it has
    to the next replica.
    """
    asked = asyncio.ensure_future(check())
    try:
        for _ in range(_TURNS):  # each one turn of the event loop at least, however long that takes
            done, _ = await asyncio.wait([asked], timeout=_TURN_S)
            if done:
                return await asked
        raise TimeoutError
    finally:
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
