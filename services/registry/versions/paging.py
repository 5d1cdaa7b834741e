"""Pages of versions, bounded by what is told of them."""

import dataclasses
from collections.abc import Sequence

from chassis.paging import InvalidPageToken, Page
from headwater.names import ModelName, ProjectName
from services.registry.ids import is_id
from services.registry.models.model import Model
from services.registry.pages import fitting, read_by_weight, weight_of
from services.registry.search.orders import Order
from services.registry.search.pages import Position, decode, page_of_found
from services.registry.store import Transaction
from services.registry.versions.model import ModelVersion, View
from services.registry.versions.searching import Search


async def page_of_versions(
    tx: Transaction, scope: Model | ProjectName, search: Search, query: str, view: View
) -> Page[ModelVersion]:
    """A page of at most ``search.limit`` versions, which are weighed before what their files hold is read."""

    async def read(limit: int, after: Position | None) -> Sequence[tuple[ModelVersion, Position]]:
        return await tx.versions.search(scope, dataclasses.replace(search, limit=limit, after=after), view=View.BASIC)

    def weight(version: ModelVersion) -> int:
        return weigh(version, view)

    found = await read_by_weight(read, search.limit + 1, search.after, weight)
    count = fitting([version for version, _ in found], search.limit, weight)
    page = page_of_found(found, count, query)
    if view is View.BASIC:
        return page
    full = {version.id: version for version in await tx.versions.find([each.name for each in page.items], view=view)}
    return Page([full.get(version.id, version) for version in page.items], page.next_page_token)


def weigh(version: ModelVersion, view: View) -> int:
    """How many small values an answer tells of the version."""
    said = weight_of(
        version.description,
        version.preprocessing.document if version.preprocessing else "",
        dict(version.annotations),
        dict(version.user_metadata),
        dict(version.hyperparameters),
        [*version.tags, *version.problems, *version.breaking_changes, *version.dangling_links],
    )
    held = version.weight if view is View.FULL else 0
    return 10 + len(version.metrics) + 5 * len(version.files) + held + said


def position(token: str, query: str, order: Order, scope: ModelName | ProjectName) -> Position | None:
    """Where the page before ended: in a model at a number, in a project at an id."""
    in_model = isinstance(scope, ModelName)
    after = decode(token, query, order, int if in_model else str)
    if after is None or (after.tie in range(2**31) if in_model else is_id(str(after.tie))):
        return after
    raise InvalidPageToken()
