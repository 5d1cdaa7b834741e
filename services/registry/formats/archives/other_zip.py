"""Zip archives that are of no model format: pickles among their members are listed and looked at."""

from services.registry.formats.archives import strays, zips
from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles.cursor import Budget

_MAX_ALL_UNPACKED = 64 * 2**20


def fits(content: Content) -> bool:
    """Whether the content begins as a zip does."""
    return zips.begins_like_it(content)


def read(content: Content) -> FileFacts:
    """The archive's pickles by their names, and what is unsafe in them.

    Raises:
        InvalidModelFile: it is not exactly a zip.
    """
    archive = zips.open_zip(content)
    found = strays.look(archive, archive.members, Budget(unpacked=_MAX_ALL_UNPACKED))
    return FileFacts(Format.ZIP, members=found.pickles, problems=found.problems)
