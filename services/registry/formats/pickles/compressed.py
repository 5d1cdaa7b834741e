"""Pickles that are compressed as a whole, as joblib and pandas write them: what loading one would do (promise 12)."""

import dataclasses

from services.registry.formats.archives import compressed
from services.registry.formats.archives.compressed import Beginning, Packing
from services.registry.formats.archives.tar_headers import BLOCK, is_header
from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles import plain
from services.registry.formats.pickles.cursor import Budget

_MAX_UNPACKED_BYTES = 16 * 2**20
_TRIED_BYTES = 65_536
# Files that joblib or pandas may load a pickle from, and that we have nothing to decompress with.
_OTHERS = {b"\x04\x22\x4d\x18": "LZ4", b"\x28\xb5\x2f\xfd": "Zstandard", b"ZF0x": "joblib's oldest form"}
_ZIPS = (b"PK\3\4", b"PK\5\6")


def fits(content: Content) -> bool:
    """Whether the content is compressed as a whole."""
    return _other(content) != "" or _packing(content) is not None


def read(content: Content) -> FileFacts:
    """What the pickle in it would import and call; of what is no pickle nothing is told."""
    packing = _packing(content)
    if packing is None:
        return _unknown(f"It is compressed ({_other(content)}), and was not looked into; it may be a pickle.")
    packed = compressed.beginning(packing, content, _MAX_UNPACKED_BYTES)
    inside = MemoryContent(packed.content)
    if packed.refused:
        return _unknown(f"It is compressed, and was not looked into: {packed.broken}; it may be a pickle.")
    if plain.fits(inside) or (not packed.complete and plain.could_begin_with(packed.content, Budget())):
        told = plain.read(inside)
        problems = [*told.problems, *_rest(packed)]
        return dataclasses.replace(told, properties={"compression": packing.name}, problems=problems)
    if packed.content.startswith(_ZIPS) or is_header(packed.content[:BLOCK]) or fits(inside):
        return _unknown("It is an archive that is compressed once more, and was not looked into.")
    return FileFacts()


def _packing(content: Content) -> Packing | None:
    for packing in compressed.PACKINGS:
        if compressed.begins_like(packing, content):
            return packing if packing.sure or _gives_something(packing, content) else None
    return None


def _gives_something(packing: Packing, content: Content) -> bool:
    """Whether the content does not only happen to begin like what is compressed."""
    begun = compressed.beginning(packing, content, _TRIED_BYTES)
    return begun.content != b"" or begun.refused


def _other(content: Content) -> str:
    return _OTHERS.get(bytes(content.read(0, 4)), "") if content.size >= 8 else ""


def _rest(packed: Beginning) -> list[str]:
    if packed.broken:
        return [f"What is compressed could not be read to its end: {packed.broken}."]
    if not packed.complete:
        return [f"What follows its first {_MAX_UNPACKED_BYTES // 2**20} MiB, decompressed, was not looked at."]
    return []


def _unknown(problem: str) -> FileFacts:
    return FileFacts(Format.UNSPECIFIED, problems=[problem])
