"""Reads what the files within a tar say of themselves, in place, by range: nothing is extracted.

What they say together, the archive says itself: a tar of a SavedModel has its signatures, one of a Hugging Face
directory its architecture (features.md, R-12, R-27). A tar that is gzipped is read as far as memory is spent on it.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

from services.registry.formats.archives import compressed
from services.registry.formats.archives.tar_headers import BLOCK, Kind, invalid, is_header
from services.registry.formats.archives.tar_walk import Member, walk
from services.registry.formats.bundles import misfits, together
from services.registry.formats.content import Content, MemoryContent, PartOf
from services.registry.formats.facts import MAX_TENSORS, FileFacts, Format, InvalidModelFile, Tensor

MAX_UNPACKED_BYTES = 64 * 2**20
_MAX_CPU_S = 10.0
_LINKS = (Kind.HARD_LINK, Kind.SYMBOLIC_LINK)
_ITSELF = (Format.TENSORFLOW_SAVED_MODEL, Format.HUGGING_FACE)


class Tars:
    """Reads tars, plain and gzipped.

    Args:
        inside: reads a file within an archive.
        max_cpu_s: how long the files of one archive may keep a processor busy. What one file costs is bounded by its
            reader; but 50 KB of gzip can be a hundred of the most costly files.
    """

    def __init__(self, inside: Callable[[Content], FileFacts], max_cpu_s: float = _MAX_CPU_S) -> None:
        self._inside = inside
        self._max_cpu_s = max_cpu_s

    def fits(self, content: Content) -> bool:
        """Whether the content begins with a tar's header."""
        if compressed.begins_like(compressed.GZIP, content):
            return is_header(compressed.beginning(compressed.GZIP, content, BLOCK).content)
        return content.size >= BLOCK and is_header(bytes(content.read(0, BLOCK)))

    def read(self, content: Content) -> FileFacts:
        """What the files in it say, and what they say together.

        Raises:
            InvalidModelFile: it is not exactly a tar, readers could understand it in several ways, it could write
                outside of where it is extracted, or a file in it is invalid.
        """
        if not compressed.begins_like(compressed.GZIP, content):
            members = walk(content)
            return _whole(members, self._files(content, members, in_place=True))
        plain, complete, broken, _ = compressed.beginning(compressed.GZIP, content, MAX_UNPACKED_BYTES)
        if broken:
            raise InvalidModelFile(f"Not a valid gzip file: {broken}.", format="gzip")
        memory = MemoryContent(plain)
        members = walk(memory, cut=not complete)
        if complete:
            return _whole(members, self._files(memory, members, in_place=False))
        there = [member for member in members if member.begin + member.size <= len(plain)]
        facts = _told(there, self._files(memory, there, in_place=False))
        return dataclasses.replace(facts, problems=[*facts.problems, _not_read(len(plain))])

    def _files(self, content: Content, members: Sequence[Member], *, in_place: bool) -> Mapping[str, FileFacts]:
        """By path; places of tensors are told where the bytes lie in the archive as they are."""
        facts: dict[str, FileFacts] = {}
        tensors_left, begun = MAX_TENSORS, time.thread_time()
        for member in members:
            if time.thread_time() - begun > self._max_cpu_s:
                raise invalid(f"its files take longer to be read than the {self._max_cpu_s:g} s that are spent on them")
            if member.kind is Kind.FILE:
                facts[member.name] = self._file(content, member, in_place=in_place)
                tensors_left -= len(facts[member.name].tensors)
            if tensors_left < 0:
                raise invalid(f"it has more than {MAX_TENSORS} tensors")
        return facts

    def _file(self, content: Content, member: Member, *, in_place: bool) -> FileFacts:
        try:
            told = self._inside(PartOf(content, member.begin, member.size))
        except InvalidModelFile as error:
            raise InvalidModelFile(f"{member.name}: {error}", format="tar", member=member.name) from error
        begin = member.begin if in_place else -1
        return dataclasses.replace(told, tensors=[_moved(tensor, begin) for tensor in told.tensors])


def _moved(tensor: Tensor, begin: int) -> Tensor:
    """The tensor with its place in the archive: in the part that begins at ``begin``, or nowhere for -1."""
    if tensor.begin < 0:
        return tensor
    if begin < 0:
        return tensor._replace(begin=-1, end=-1)
    return tensor._replace(begin=tensor.begin + begin, end=tensor.end + begin)


def _whole(members: Sequence[Member], facts: Mapping[str, FileFacts]) -> FileFacts:
    """What a whole archive says, or raise InvalidModelFile where one file in it does not fit to the others."""
    sizes = {member.name: member.size for member in members if member.kind is Kind.FILE}
    for _, wrong in misfits(facts, sizes):
        raise invalid(wrong.removesuffix("."))
    return _told(members, facts)


def _told(members: Sequence[Member], facts: Mapping[str, FileFacts]) -> FileFacts:
    links = [f"{each.name} is a {each.kind.value}" for each in members if each.kind in _LINKS]
    if not facts:
        return FileFacts(Format.TAR, problems=links)
    whole = together(facts)
    format_ = whole.format if whole.format in _ITSELF else Format.TAR
    return dataclasses.replace(whole, format=format_, problems=[*whole.problems, *links], members=facts)


def _not_read(read_bytes: int) -> str:
    return f"compressed: what follows its first {read_bytes // 2**20} MiB was not looked at; upload it uncompressed"
