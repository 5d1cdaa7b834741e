"""The use cases of aliases: names that point to one version each, and the history of where they pointed."""

import re
from collections.abc import Sequence

from chassis.etags import check, etag_of
from chassis.paging import Page, page_size, query_digest
from headwater.names import ModelName
from services.registry.events import event
from services.registry.models.errors import InvalidAlias, TooManyAliases
from services.registry.models.model import Model, Stage
from services.registry.models.models import check_in_use
from services.registry.moves.model import AliasChange, Why, after
from services.registry.moves.paging import page_of_moves
from services.registry.origin import Origin
from services.registry.states import State
from services.registry.store import Store
from services.registry.versions.errors import ModelVersionArchived
from services.registry.versions.model import View, Which

_RESERVED = frozenset(stage.name.lower() for stage in Stage)
MAX_ALIASES = 1000
_VERSION_LIKE = re.compile(r"v?[0-9]+", re.ASCII)


class Aliases:
    """Points aliases at versions. The database's clock says when one is moved."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def set(
        self, name: ModelName, alias: str, which: Which | None, *, etag: str, why: Why, origin: Origin
    ) -> Model:
        """Point ``alias`` (case does not matter) at a version, or remove it; where it points there already, nothing
        changes and nothing is recorded.

        Raises:
            InvalidAlias: it is the name of a stage or looks like a version number.
            ModelNotFound, ModelVersionNotFound
            ModelArchived, ModelVersionArchived: what is out of use gets no new name.
            TooManyAliases
            EtagMismatch: the model has changed since the caller read it.
        """
        alias = alias.lower()
        if alias in _RESERVED or _VERSION_LIKE.fullmatch(alias):
            raise InvalidAlias(alias=alias)
        async with self._store.transaction() as tx:
            model = await tx.models.get(name, lock=True)
            check_in_use(model)
            check(etag, etag_of(model.revision))
            number = 0
            if which is not None:
                version = await tx.versions.get(model.name, which, view=View.BASIC)
                number = version.version
            before = model.aliases.get(alias, 0)
            if before == number:
                return model
            if which is not None and version.state is State.ARCHIVED:
                raise ModelVersionArchived(version=version.name)
            if not before and len(model.aliases) >= MAX_ALIASES:
                raise TooManyAliases(limit=MAX_ALIASES)
            now = after(await tx.moves.alias_changes(model, limit=1), await tx.now())
            await tx.moves.set_alias(model, AliasChange(alias, before, number, origin.actor, now, why))
            await tx.models.update(model.changed(now))
            changed = await tx.models.get(model.name)
            await tx.events.append(event(origin.actor, "model.alias", model.name, model, changed, now))
            return changed

    async def changes(self, name: ModelName, alias: str, size: int, token: str) -> Page[AliasChange]:
        """The moves of one alias of a model, or of all, newest first, or raise ModelNotFound."""
        size, query = page_size(size), query_digest("alias changes", name, alias.lower())
        async with self._store.transaction() as tx:
            model = await tx.models.get(name)

            async def read(limit: int, before: int | None) -> Sequence[AliasChange]:
                return await tx.moves.alias_changes(model, alias=alias.lower(), before=before, limit=limit)

            return await page_of_moves(read, size, token, query)
