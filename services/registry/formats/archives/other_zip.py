"""Zip archives that are of no model format: their members are listed, and pickles among them are looked at."""

from services.registry.formats import pickles
from services.registry.formats.archives import zips
from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles.cursor import Budget

_PICKLED = (".pkl", ".pickle", ".joblib")
_MAX_UNPACKED = 16 * 2**20
_MAX_ALL_UNPACKED = 64 * 2**20
_MAX_LOOKED_AT = 100


def fits(content: Content) -> bool:
    """Whether the content begins as a zip does."""
    return zips.begins_like_it(content)


def read(content: Content) -> FileFacts:
    """The archive's pickles by their names, and what is unsafe in them.

    Raises:
        InvalidModelFile: it is not exactly a zip.
    """
    archive = zips.open_zip(content)
    members: dict[str, FileFacts] = {}
    left, budget = _MAX_ALL_UNPACKED, Budget()
    pickled = [member for member in archive.members.values() if member.name.lower().endswith(_PICKLED)]
    for member in pickled[:_MAX_LOOKED_AT]:
        if not member.compressed:
            members[member.name] = pickles.read(archive.part(member.name), budget)
        elif member.size <= min(_MAX_UNPACKED, left):
            left -= member.size
            members[member.name] = pickles.read(MemoryContent(archive.read(member.name, member.size)), budget)
    problems = [f"{name}: {problem}" for name, facts in members.items() for problem in facts.problems]
    if len(members) < len(pickled):
        problems.append(f"{len(pickled) - len(members)} of its pickles are too many, or too large, to be looked at.")
    return FileFacts(Format.ZIP, members=members, problems=problems)
