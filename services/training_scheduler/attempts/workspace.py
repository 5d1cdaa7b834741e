"""Where a job's code and logs lie on the scheduler's disk. Every path is made of ids, never of what somebody typed."""

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import AsyncIterable, Iterator
from pathlib import Path

from headwater import code
from headwater.errors import DataLoss
from services.training_scheduler.errors import WorkspaceUnusable

_TAIL_BYTES = 64 * 1024


class Workspace:
    """The directory of one job: the archive of its code, and a folder and a log for each attempt."""

    def __init__(self, root: Path, job_id: str) -> None:
        self._directory = root.absolute() / job_id

    async def store_code(self, digest_hex: str, chunks: AsyncIterable[bytes]) -> None:
        """Keep the archive.

        Raises:
            DataLoss: the bytes have another digest.
            WorkspaceUnusable
        """
        digest = hashlib.sha256()
        with _disk_errors():
            await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
            with self._archive.open("wb") as file:
                async for chunk in chunks:
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
        if digest.hexdigest() != digest_hex:
            raise DataLoss("The code that came from the registry has another digest than its name says.")

    async def unpack(self, fencing_token: int) -> Path:
        """A fresh folder with the code, for one attempt.

        Raises:
            InvalidCode: the archive is not one of plain files and directories.
            WorkspaceUnusable
        """
        folder = self._directory / str(fencing_token)
        with _disk_errors():
            await asyncio.to_thread(self._unpack, folder)
        return folder

    def log(self, fencing_token: int) -> Path:
        """Where the attempt's output goes."""
        return self._directory / f"{fencing_token}.log"

    async def log_end(self, fencing_token: int) -> str:
        """The end of the attempt's output; empty when there is none."""

        def read() -> bytes:
            with contextlib.suppress(FileNotFoundError), self.log(fencing_token).open("rb") as file:
                file.seek(max(0, self.log(fencing_token).stat().st_size - _TAIL_BYTES))
                return file.read()
            return b""

        return (await asyncio.to_thread(read)).decode(errors="replace").replace("\0", "")

    async def remove_code(self) -> None:
        """Remove everything but the logs."""

        def remove() -> None:
            for path in self._directory.glob("*"):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
            self._archive.unlink(missing_ok=True)

        await asyncio.to_thread(remove)

    @property
    def _archive(self) -> Path:
        return self._directory / "code.tar"

    def _unpack(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with self._archive.open("rb") as file:
            code.extract(file, folder)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceUnusable(f"The scheduler's disk does not take the job's files: {error.strerror}.") from error
