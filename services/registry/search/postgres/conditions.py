"""Conditions as SQL."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, and_, false, func, not_, or_

from services.registry.search.postgres.places import Place
from services.registry.search.tree import And, Comparison, Condition, NoneOf, Not, OneOf, Or, Present

Places = Mapping[str, Place]
"""Where the fields are, by their names."""


def where(condition: Condition, places: Places) -> ColumnElement[bool]:
    """The condition as SQL; null stands for false."""
    match condition:
        case And(parts):
            return and_(True, *(where(part, places) for part in parts))
        case Or(parts):
            return or_(False, *(where(part, places) for part in parts))
        case Not(Comparison() | OneOf() | NoneOf() | Present() as leaf):
            return places[leaf.field.name].fails(leaf)
        case Not(part):
            return not_(func.coalesce(where(part, places), false()))
        case leaf:
            return places[leaf.field.name].holds(leaf)
