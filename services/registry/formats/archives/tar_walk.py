"""Goes through a tar from header to header, and finds the files that it holds; their bytes are not read."""

import dataclasses
import posixpath
from collections.abc import Iterator, Sequence

from services.registry.formats.archives.names import BadName, check_names
from services.registry.formats.archives.tar_headers import (
    BLOCK,
    MAX_OCTAL,
    Header,
    Kind,
    attributes,
    invalid,
    parse,
    text,
)
from services.registry.formats.content import Content, Truncated

MAX_MEMBERS = 10_000
_MAX_LONG_NAME = 4096
_MAX_ATTRIBUTES = 2**20
_MAX_ALL_ATTRIBUTES = 16 * 2**20
_MAX_PADDING = 2**20
_META = (Kind.LONG_NAME, Kind.LONG_LINK, Kind.EXTENDED, Kind.GLOBAL)


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A file, folder or link; ``begin`` is where its ``size`` bytes lie."""

    kind: Kind
    name: str
    begin: int
    size: int
    target: str = ""


@dataclasses.dataclass(slots=True)
class _Said:
    """What headers before a member say of it."""

    by: set[Kind] = dataclasses.field(default_factory=set)
    name: str = ""
    target: str = ""
    size: int | None = None


def walk(content: Content, *, cut: bool = False) -> Sequence[Member]:
    """The members in their order, with names that are safe and unlike.

    Args:
        content: the archive.
        cut: whether the content is only the archive's beginning: the members that begin in it are told.

    Raises:
        InvalidModelFile: it breaks a rule, has too many members, or one is a device, sparse, or leads out of it.
    """
    members: list[Member] = []
    try:
        for member in _members(content, cut=cut):
            members.append(member)
            if len(members) > MAX_MEMBERS:
                raise invalid(f"it has more than {MAX_MEMBERS} members")
    except Truncated as error:
        if not cut:
            raise invalid("it is cut off") from error
    try:
        check_names(member.name for member in members)
    except BadName as error:
        raise invalid(str(error)) from error
    return members


def _members(content: Content, *, cut: bool) -> Iterator[Member]:
    position, said, left = 0, _Said(), _MAX_ALL_ATTRIBUTES
    while True:
        block = bytes(content.read(position, BLOCK))
        if not any(block):
            if said.by:
                raise invalid("attributes are followed by no member")
            if not cut:
                _check_end(content, position)
            return
        header, position = parse(block), position + BLOCK
        if header.kind in _META:
            left -= header.size
            if header.size > (_MAX_LONG_NAME if header.kind.name.startswith("LONG") else _MAX_ATTRIBUTES) or left < 0:
                raise invalid("a header has too many attributes")
            _note(said, header, bytes(content.read(position, header.size)))
            position += -(-header.size // BLOCK) * BLOCK
            continue
        member = _member(header, said, position)
        if member is not None:
            yield member
            position += -(-member.size // BLOCK) * BLOCK
        said = _Said()


def _note(said: _Said, header: Header, raw: bytes) -> None:
    if header.kind is Kind.GLOBAL:
        if attributes(raw):
            raise invalid("all members would have the same name or size")
        return
    if header.kind in said.by or Kind.EXTENDED in said.by or (header.kind is Kind.EXTENDED and said.by):
        raise invalid("a member's name is said twice")
    said.by.add(header.kind)
    if header.kind is Kind.EXTENDED:
        found = attributes(raw)
        said.name, said.target = found.get("path", ""), found.get("linkpath", "")
        said.size = int(found["size"]) if "size" in found else None
        return
    if header.kind is Kind.LONG_NAME:
        said.name = text(raw.removesuffix(b"\0"))
    else:
        said.target = text(raw.removesuffix(b"\0"))


def _member(header: Header, said: _Said, begin: int) -> Member | None:
    """The member; None for the folder that is the archive itself."""
    name, target = said.name or text(header.name), said.target or text(header.target)
    size = header.size if said.size is None else said.size
    if size != header.size and size <= MAX_OCTAL:
        raise invalid(f"{name[:255]!r} has two sizes")
    if size and header.kind is not Kind.FILE:
        raise invalid(f"{name[:255]!r} is a {header.kind.value} and has bytes")
    if header.kind is Kind.FOLDER and name in (".", "./"):
        return None
    name = name.removeprefix("./")
    if header.kind is Kind.FOLDER:
        name = name.removesuffix("/") + "/"
    elif name.endswith("/"):
        raise invalid(f"{name[:255]!r} is a {header.kind.value} with the name of a folder")
    if header.kind in (Kind.HARD_LINK, Kind.SYMBOLIC_LINK):
        _check_link(header.kind, name, target)
    return Member(header.kind, name, begin, size, target)


def _check_link(kind: Kind, name: str, target: str) -> None:
    folder = posixpath.dirname(name) if kind is Kind.SYMBOLIC_LINK else ""
    place = posixpath.normpath(posixpath.join(folder, target))
    if not target or target.startswith("/") or "\\" in target or place == ".." or place.startswith("../"):
        raise invalid(f"{name[:255]!r} points out of it, to {target[:255]!r}")


def _check_end(content: Content, position: int) -> None:
    """An archive ends with two blocks of zeros, and what fills it up is zeros too: some readers go on after one."""
    rest = content.size - position
    if rest < 2 * BLOCK:
        raise invalid("it is cut off within its end")
    if rest > _MAX_PADDING or any(content.read(position, rest)):
        raise invalid("something follows its end")
