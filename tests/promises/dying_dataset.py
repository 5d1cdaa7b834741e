"""The dataset service as a process that kills itself with SIGKILL at one step of what it does.

    python -m tests.promises.dying_dataset "after finish_pack"

Steps are calls of the store's transactions, and of the blobs' writers: ``before`` it, ``after`` it (in a transaction:
not yet committed), or when it is ``committed`` and not yet answered. Without a step the service lives on. Nothing in
the service knows of this: its store and blobs are wrapped.
"""

import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from chassis import Service, run
from chassis.blobs import blobs_from_url
from chassis.db.engine import Database
from services.dataset.__main__ import wire
from services.dataset.postgres import SCHEMA, PostgresStore
from services.dataset.settings import Settings


@dataclasses.dataclass(frozen=True)
class Death:
    """The step at which the process dies."""

    when: str
    step: str
    how: str = "SIGKILL"
    """The signal; SIGSTOP for a process that is only away for a while."""

    def at(self, when: str, step: str) -> None:
        """Die if this is the step."""
        if (when, step) == (self.when, self.step):
            os.kill(os.getpid(), signal.Signals[self.how])


class DyingTransaction:
    """A transaction that notes which steps it took."""

    def __init__(self, tx: Any, death: Death) -> None:
        self._tx = tx
        self._death = death
        self.steps: list[str] = []

    def __getattr__(self, step: str) -> Callable[..., Any]:
        method = getattr(self._tx, step)
        if step == "all_source_files":
            return method  # type: ignore[no-any-return]

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._death.at("before", step)
            result = await method(*args, **kwargs)
            self._death.at("after", step)
            self.steps.append(step)
            return result

        return call


class DyingStore:
    """A store of such transactions."""

    def __init__(self, store: PostgresStore, death: Death) -> None:
        self._store = store
        self._death = death

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """See Store."""
        async with self._store.transaction() as tx:
            dying = DyingTransaction(tx, self._death)
            yield dying
        for step in dying.steps:
            self._death.at("committed", step)


class DyingBlobs:
    """Blobs of whose writers each method may be the step."""

    def __init__(self, blobs: Any, death: Death) -> None:
        self._blobs = blobs
        self._death = death

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def writer(self, *args: Any, **kwargs: Any) -> "DyingWriter":
        """See Blobs."""
        return DyingWriter(self._blobs.writer(*args, **kwargs), self._death)


class DyingWriter:
    """See BlobWriter."""

    def __init__(self, writer: Any, death: Death) -> None:
        self._writer = writer
        self._death = death
        self.discard = writer.discard

    def write(self, data: Any) -> None:
        """See BlobWriter."""
        self._writer.write(data)
        self._death.at("after", "write")

    def seal(self) -> Any:
        """See BlobWriter."""
        blob = self._writer.seal()
        self._death.at("after", "seal")
        return blob

    async def publish(self) -> None:
        """See BlobWriter."""
        await self._writer.publish()
        self._death.at("after", "publish")


async def build(settings: Settings) -> Service:
    """The service; its database is there already."""
    death = Death(*(sys.argv[1].split() if len(sys.argv) > 1 else ("", "")))
    store = DyingStore(PostgresStore(Database(settings.database_url, SCHEMA)), death)
    return wire(settings, store, DyingBlobs(blobs_from_url(settings.blobs_url, "dataset"), death))


if __name__ == "__main__":
    run(build, Settings)
