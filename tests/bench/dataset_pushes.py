"""`headwater dataset push` of files against `dvc add` of the same, both as a user would run them: a new process, its
start included."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from tests.bench.paired import Result, measure
from tests.bench.running import Running, running

PEERS = Path(__file__).parents[2] / ".peers" / "tracking" / "bin"
FILES, FILE_BYTES = 5_000, 1_000_000
SMALL_FILES, SMALL_BYTES = 100_000, 4_096
_FOLDERS = 10
_MB = 10**6
_SETTLED_S = 3.0
"""Files that were written a moment ago may be written again unseen, so nobody remembers their state."""


def run(stack: Running) -> Iterator[Result]:
    """The same files again, and others for the first time."""
    with _workspace(SMALL_FILES, SMALL_BYTES) as work:
        push, add = _push(stack, work), _dvc_add(work)
        time.sleep(_SETTLED_S)
        push()
        for peer, prepare, rounds, must_be in (
            ("dvc add of the same", work.forget_dvc, 1, "≥ 20"),
            ("dvc add of the same, again", lambda: None, 4, ""),
        ):
            yield measure(
                f"re-push of {SMALL_FILES:,} unchanged files of 4 KB",
                lambda: _times(push),
                lambda: _times(add),
                unit="/s",
                peer=peer,
                servers=stack.processes("dataset", "postgres"),
                prepare=prepare,
                warm_up=False,
                rounds=rounds,
                must_be=must_be,
            )
    with _workspace(FILES, FILE_BYTES) as work:
        peers = {"dvc add": (_dvc_add(work), "≥ 1.5"), "a loop that hashes, writes and fsyncs": (_copy(work), "≥ 0.5")}
        for peer, (other, must_be) in peers.items():
            with running() as own:  # whose files are gone afterwards
                push = _push(own, work)
                yield measure(
                    "first push of 5 GB",
                    lambda push=push: _megabytes(push),  # type: ignore[misc]
                    lambda other=other: _megabytes(other),  # type: ignore[misc]
                    unit="MB/s",
                    peer=peer,
                    servers=own.processes("dataset", "postgres"),
                    prepare=work.renew,
                    warm_up=False,
                    rounds=2,
                    must_be=must_be,
                )


class _Work:
    """A directory with files below ``data``, and nothing that anybody has kept of them."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        self.path = path
        self.data = path / "data"
        self._number = 0
        caches = {"XDG_CACHE_HOME": str(path / "cache"), "DVC_SITE_CACHE_DIR": str(path / "site")}
        self.environment = {**os.environ, **caches, "DVC_NO_ANALYTICS": "1"}
        rng = np.random.default_rng(count)
        for folder in range(_FOLDERS):
            (self.data / f"class-{folder}").mkdir(parents=True)
        for number in range(count):
            (self.data / f"class-{number % _FOLDERS}" / f"{number:06}.bin").write_bytes(rng.bytes(size))

    def forget_dvc(self) -> None:
        """As if DVC had never been here."""
        self._remove("site", ".dvc/cache", ".dvc/tmp", "data.dvc")
        os.sync()

    def renew(self) -> None:
        """Change the beginning of each file, and forget what was kept."""
        self._number += 1
        self._remove("cache", "copy")
        self.forget_dvc()
        for file in self.data.rglob("*.bin"):
            with file.open("r+b") as opened:
                opened.write(self._number.to_bytes(8, "little"))
        os.sync()

    def _remove(self, *names: str) -> None:
        for name in names:
            gone = self.path / name
            gone.unlink() if gone.is_file() else shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def _workspace(count: int, size: int) -> Iterator[_Work]:
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as path:
        work = _Work(Path(path), count, size)
        _call(work.path, work.environment, str(PEERS / "dvc"), "init", "--no-scm", "--quiet")
        yield work


def _push(stack: Running, work: _Work) -> Callable[[], None]:
    headwater = Path(__file__).parents[2] / ".venv" / "bin" / "headwater"
    environment = {**work.environment, "HEADWATER_HOME": str(stack.home)}
    command = (str(headwater), "dataset", "push", f"bench-{work.path.name[-8:].lower().replace('_', '-')}", "data",
               "--as", "files")  # fmt: skip
    return lambda: _call(work.path, environment, *command)


def _dvc_add(work: _Work) -> Callable[[], None]:
    return lambda: _call(work.path, work.environment, str(PEERS / "dvc"), "add", "--quiet", "data")


def _copy(work: _Work) -> Callable[[], None]:
    def copy() -> None:
        with (work.path / "copy").open("wb") as target:
            for file in sorted(work.data.rglob("*.bin")):
                content = file.read_bytes()
                hashlib.sha256(content).digest()
                target.write(content)
            os.fsync(target.fileno())

    return copy


def _call(directory: Path, environment: Mapping[str, str], *command: str) -> None:
    subprocess.run(command, cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL)


def _times(work: Callable[[], None]) -> float:
    work()
    return 1.0


def _megabytes(work: Callable[[], None]) -> float:
    work()
    return FILES * FILE_BYTES / _MB
