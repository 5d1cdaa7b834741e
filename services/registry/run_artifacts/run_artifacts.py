"""The use cases of what runs made."""

import re

from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import decode_token, page_of, page_size, query_digest
from headwater.names import ArtifactName, RunArtifactName, RunName
from services.registry.artifacts.errors import ArtifactNotFound
from services.registry.events import event
from services.registry.origin import Origin
from services.registry.run_artifacts.errors import InvalidRunArtifactPath, RunArtifactAlreadyExists
from services.registry.run_artifacts.model import Listing, NewRunArtifact, Place, RunArtifact
from services.registry.store import Store, Transaction

_MAX_PATH = 1024
_MAX_FOLDERS = 10_000
_SEGMENT = re.compile(r"[A-Za-z0-9._+=@,()\[\]-]([A-Za-z0-9 ._+=@,()\[\]-]{0,253}[A-Za-z0-9._+=@,()\[\]-])?", re.ASCII)


class RunArtifacts:
    """Records and lists what runs made."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, run_name: RunName, new: NewRunArtifact, origin: Origin) -> RunArtifact:
        """Record it, whatever the state of the run: a log is complete only after its end. The same again is no change.

        Raises:
            RunNotFound
            ArtifactNotFound: the project has no such bytes.
            RunArtifactAlreadyExists: the run has something else under the path.
            InvalidRunArtifactPath
        """
        check_path(new.path)
        async with self._store.transaction() as tx:
            run = await tx.runs.get(run_name, lock=True)  # paths are checked against each other
            made = RunArtifact(
                id=new_id(),
                run_id=run.id,
                run=run.name,
                path=new.path,
                kind=new.kind,
                place=new.place,
                media_type=new.media_type,
                size_bytes=await _size_bytes(tx, new),
                create_time=self._clock.now(),
                created_by=origin.actor,
            )
            if await tx.run_artifacts.meets(run, new.path):
                raise InvalidRunArtifactPath(f"{new.path} would be a file and a folder.", path=new.path)
            if await tx.run_artifacts.add(made):
                await tx.events.append(
                    event(origin.actor, "run_artifact.create", made.name, None, made, made.create_time)
                )
            stored = await tx.run_artifacts.at(run, new.path)
            if stored.told != new:
                raise RunArtifactAlreadyExists(run=run_name, path=new.path)
            return stored

    async def get(self, name: RunArtifactName) -> RunArtifact:
        """It, or raise RunArtifactNotFound."""
        async with self._store.transaction() as tx:
            return await tx.run_artifacts.get(name)

    async def page(self, run_name: RunName, folder: str, size: int, token: str, *, direct: bool) -> Listing:
        """What the run made by path: below ``folder``, or directly in it, with its folders on the first page.

        Raises:
            RunNotFound, InvalidRunArtifactPath
        """
        if folder:
            check_path(folder)
        size, query = page_size(size), query_digest("run_artifacts", run_name, folder, direct)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            run = await tx.runs.get(run_name)
            find = tx.run_artifacts.beside if direct else tx.run_artifacts.below
            rows = await find(run, folder, after=str(after[0]) if after else "", limit=size + 1)
            folders = await tx.run_artifacts.folders(run, folder, _MAX_FOLDERS) if direct and not after else []
        page = page_of(rows, size, key=lambda row: (row.path,), query=query)
        return Listing(list(page.items), list(folders), page.next_page_token)


def check_path(path: str) -> None:
    """Go on if ``path`` could stand in a directory tree.

    Raises:
        InvalidRunArtifactPath
    """
    segments = path.split("/")
    if len(path) > _MAX_PATH or not all(
        _SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments
    ):
        raise InvalidRunArtifactPath(
            "A path is names joined by '/', of letters, digits, ._-+=@,()[] and inner spaces, up to 1,024 characters.",
            field="run_artifact.path",
        )


async def _size_bytes(tx: Transaction, new: NewRunArtifact) -> int:
    match new.place:
        case Place():
            return 0
        case ArtifactName() as name:
            for artifact in await tx.artifacts.find([name]):
                return artifact.size_bytes
            raise ArtifactNotFound(artifact=name)
