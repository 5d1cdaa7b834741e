"""Pages of versions, bounded by what is told of them."""

import dataclasses

from chassis.paging import InvalidPageToken, Page
from headwater.names import ModelName, ProjectName
from services.registry.ids import is_id
from services.registry.models.model import Model
from services.registry.pages import MAX_PAGE_WEIGHT, fitting
from services.registry.search.orders import Order
from services.registry.search.pages import Position, decode, page_of_found
from services.registry.store import Transaction
from services.registry.versions.model import ModelVersion, View
from services.registry.versions.searching import Search

_CHUNK = 100
"""Versions that are read at once for a page: each may have a thousand files."""


async def page_of_versions(
    tx: Transaction, scope: Model | ProjectName, search: Search, query: str, view: View
) -> Page[ModelVersion]:
    """A page of at most ``search.limit`` versions, which are weighed before what their files hold is read."""
    found: list[tuple[ModelVersion, Position]] = []
    weight, wanted = 0, search.limit + 1
    while len(found) < wanted and weight <= MAX_PAGE_WEIGHT:
        rest = dataclasses.replace(search, limit=min(_CHUNK, wanted - len(found)))
        chunk = await tx.versions.search(scope, rest, view=View.BASIC)
        found += chunk
        weight += sum(_weight(version, view) for version, _ in chunk)
        if len(chunk) < rest.limit:
            break
        search = dataclasses.replace(search, after=found[-1][1])
    count = fitting([version for version, _ in found], wanted - 1, lambda version: _weight(version, view))
    page = page_of_found(found, count, query)
    if view is View.BASIC:
        return page
    full = {version.id: version for version in await tx.versions.find([each.name for each in page.items], view=view)}
    return Page([full.get(version.id, version) for version in page.items], page.next_page_token)


def _weight(version: ModelVersion, view: View) -> int:
    return 10 + len(version.metrics) + 5 * len(version.files) + (version.weight if view is View.FULL else 0)


def position(token: str, query: str, order: Order, scope: ModelName | ProjectName) -> Position | None:
    """Where the page before ended: in a model at a number, in a project at an id."""
    in_model = isinstance(scope, ModelName)
    after = decode(token, query, order, int if in_model else str)
    if after is None or (after.tie in range(2**31) if in_model else is_id(str(after.tie))):
        return after
    raise InvalidPageToken()
