"""Looks through members of a zip of which nobody says what they are, for what loading one could execute.

A pickle is told by how it begins, and by its name where it begins as anything could.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from services.registry.formats import pickles
from services.registry.formats.archives.zips import Member, Zip
from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import FileFacts
from services.registry.formats.pickles import arrays, compressed
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.pickles.plain import could_begin_with

_PICKLED = (".pkl", ".pickle", ".joblib")
_BEGINNING_BYTES = 512
_PROTOCOLS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_ZIP = b"PK\3\4"
_MAX_UNPACKED = 16 * 2**20
_MAX_LOOKED_AT = 100
_MAX_PROBLEMS = 100
_MAX_PARSED_ARRAYS = 1000
_MAX_CPU_S = 10.0


class Strays(NamedTuple):
    """The pickles among the members by their names, and what is unsafe."""

    pickles: Mapping[str, FileFacts]
    problems: list[str]


def look(archive: Zip, names: Iterable[str], budget: Budget) -> Strays:
    """Look through the members of these names, for no more than the budget has.

    Raises:
        InvalidModelFile: one cannot be decompressed to what it should be.
    """
    pickled, others, problems, parsed = [], [], list[str](), 0
    begun = time.thread_time()
    for name in names:
        if time.thread_time() - begun > _MAX_CPU_S:
            problems.append(f"From {name} on its members were not looked at: there are too many.")
            break
        beginning = archive.beginning(name, _BEGINNING_BYTES)
        if name.lower().endswith(_PICKLED) or beginning.startswith(_PROTOCOLS):
            pickled.append(name)
        elif beginning.startswith(_ZIP) or compressed.fits(MemoryContent(beginning)):
            problems.append(f"{name}: an archive within an archive, which was not looked into.")
        elif beginning.startswith(arrays.MAGIC) and len(beginning) >= 12:
            if not arrays.is_usual(beginning):
                parsed += 1
                if parsed > _MAX_PARSED_ARRAYS or _may_hold_objects(archive, name, arrays.header_end(beginning)):
                    problems.append(f"{name}: An array of objects, which are pickled.")
        elif could_begin_with(beginning, budget):
            others.append(name)
    told = _told(archive, pickled[:_MAX_LOOKED_AT], others, budget)
    left = len(pickled) + len(others) - len(told)
    if left:
        problems.insert(0, f"{left} of its pickles are too many, or too large, to be looked at.")
    problems += [f"{name}: {problem}" for name, facts in told.items() for problem in facts.problems]
    return Strays({name: facts for name, facts in told.items() if facts.format}, problems[:_MAX_PROBLEMS])


def _may_hold_objects(archive: Zip, name: str, header_end: int) -> bool:
    if header_end > min(arrays.MAX_HEADER_BYTES, archive.members[name].size):
        return True
    return arrays.holds_objects(archive.beginning(name, header_end))


def _told(archive: Zip, pickled: Sequence[str], others: Sequence[str], budget: Budget) -> Mapping[str, FileFacts]:
    """What the pickles say, and those of the others that turn out to be some, for as long as the budget lasts and
    without those that would be unpacked to too much; of what is no pickle, no format."""
    told: dict[str, FileFacts] = {}
    for name in (*pickled, *others):
        if not budget.is_spent and _affordable(archive.members[name], budget):
            content = _content(archive, name)
            is_one = name in pickled or pickles.fits(content, budget)
            told[name] = pickles.read(content, budget) if is_one else FileFacts()
    return told


def _affordable(member: Member, budget: Budget) -> bool:
    if not member.compressed:
        return True
    if member.size > min(_MAX_UNPACKED, budget.unpacked):
        return False
    budget.unpacked -= member.size
    return True


def _content(archive: Zip, name: str) -> Content:
    if archive.members[name].compressed:
        return MemoryContent(archive.read(name, _MAX_UNPACKED))
    return archive.part(name)
