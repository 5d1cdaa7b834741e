"""Zip archives that are of no model format: their members are listed, and pickles among them are looked at.

A pickle is told by how it begins, and by its name where it begins as anything could.
"""

from collections.abc import Iterator

from services.registry.formats import pickles
from services.registry.formats.archives import zips
from services.registry.formats.archives.zips import Zip
from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles.cursor import Budget

_PICKLED = (".pkl", ".pickle", ".joblib")
_BEGINNING_BYTES = 512
_PROTOCOLS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_ARCHIVES = (b"PK\3\4", b"\x1f\x8b\x08")
_ARRAY = b"\x93NUMPY"
_OF_OBJECTS = b"'|O'"
_MAX_UNPACKED = 16 * 2**20
_MAX_ALL_UNPACKED = 64 * 2**20
_MAX_LOOKED_AT = 100
_MAX_PROBLEMS = 100


def fits(content: Content) -> bool:
    """Whether the content begins as a zip does."""
    return zips.begins_like_it(content)


def read(content: Content) -> FileFacts:
    """The archive's pickles by their names, and what is unsafe in them.

    Raises:
        InvalidModelFile: it is not exactly a zip.
    """
    archive = zips.open_zip(content)
    pickled: list[str] = []
    problems: list[str] = []
    for name in archive.members:
        beginning = archive.beginning(name, _BEGINNING_BYTES)
        if name.lower().endswith(_PICKLED) or beginning.startswith(_PROTOCOLS):
            pickled.append(name)
        elif beginning.startswith(_ARCHIVES):
            problems.append(f"{name}: an archive within an archive, which was not looked into.")
        elif beginning.startswith(_ARRAY) and _OF_OBJECTS in beginning:
            problems.append(f"{name}: An array of objects, which are pickled.")
    members = dict(_looked_at(archive, pickled[:_MAX_LOOKED_AT]))
    problems += [f"{name}: {problem}" for name, facts in members.items() for problem in facts.problems]
    if len(members) < len(pickled):
        problems.append(f"{len(pickled) - len(members)} of its pickles are too many, or too large, to be looked at.")
    return FileFacts(Format.ZIP, members=members, problems=problems[:_MAX_PROBLEMS])


def _looked_at(archive: Zip, names: list[str]) -> Iterator[tuple[str, FileFacts]]:
    """What the pickles say, but those that would be unpacked to too much."""
    left, budget = _MAX_ALL_UNPACKED, Budget()
    for name in names:
        member = archive.members[name]
        if not member.compressed:
            yield name, pickles.read(archive.part(name), budget)
        elif member.size <= min(_MAX_UNPACKED, left):
            left -= member.size
            yield name, pickles.read(MemoryContent(archive.read(name, member.size)), budget)
