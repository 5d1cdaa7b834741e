"""The zip archive in which PyTorch keeps pickles, storages and code (``caffe2/serialize/inline_container.h``)."""

from collections.abc import Callable, Collection, Iterator

from services.registry.formats.archives import strays, zip_directory, zips
from services.registry.formats.archives.zips import Member, Zip
from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import Format, InvalidModelFile
from services.registry.formats.pickles.cursor import Budget, Malformed
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.scan import run_one
from services.registry.formats.pickles.values import PersistentId, Reference, Value
from services.registry.formats.pytorch.tensors import invalid

OLD_EXPORT = "serialized_exported_program.json"
_MAX_CHECKED = 32 * 2**20  # a longer pickle is read where it lies, without its CRC, since most of it may be skipped
_MAX_NOTE = 64


def kind_of(content: Content) -> Format:
    """Which of PyTorch's archives it is, by the names in its directory; UNSPECIFIED if none."""
    if not zips.begins_like_it(content):
        return Format.UNSPECIFIED
    try:
        names = {name.decode("utf-8", "replace") for name in zip_directory.raw_names(content)}
    except InvalidModelFile:
        return Format.UNSPECIFIED
    if OLD_EXPORT in names:
        return Format.TORCH_EXPORT
    root = root_of(names)
    if not root:
        return Format.UNSPECIFIED
    if f"{root}archive_format" in names and f"{root}archive_version" in names:
        return Format.TORCH_EXPORT
    if f"{root}data.pkl" not in names or not {f"{root}version", f"{root}.data/version"} & names:
        return Format.UNSPECIFIED
    return Format.TORCHSCRIPT if f"{root}constants.pkl" in names else Format.PYTORCH


def root_of(names: Collection[str]) -> str:
    """The folder, with its slash, in which all members are; empty if there is none."""
    root = next((name.partition("/")[0] + "/" for name in names), "")
    return root if all(name.startswith(root) for name in names) else ""


class Archive:
    """An archive's members by their names within its one folder, and what was found in its pickles."""

    def __init__(self, content: Content, findings: Findings, budget: Budget) -> None:
        self.zip: Zip = zips.open_zip(content)
        self.root = root_of(self.zip.members)
        self.findings = findings
        self.budget = budget
        self.is_little = self.note("byteorder") in ("", "little")
        self._storages: set[str] = set()

    def member(self, name: str) -> Member | None:
        """The member of this name, if there is one."""
        return self.zip.members.get(self.root + name)

    def names(self) -> Iterator[str]:
        """All names, in the order of the file."""
        return (name.removeprefix(self.root) for name in self.zip.members)

    def read(self, name: str, limit: int) -> bytes:
        """See Zip.read; what it unpacks is taken from the budget."""
        member = self.zip.members[self.root + name]
        if member.compressed and member.size <= limit:
            self.budget.unpacked -= member.size
            if self.budget.is_spent:
                raise invalid("its members are unpacked to more than is looked at")
        return self.zip.read(self.root + name, limit)

    def part(self, name: str) -> Content:
        """The content of a member that can be read in place; of a compressed one, a copy."""
        member = self.zip.members[self.root + name]
        if member.compressed:
            return MemoryContent(self.read(name, _MAX_CHECKED))
        return self.zip.part(self.root + name)

    def note(self, name: str) -> str:
        """The text of a member of a few characters; empty if there is none."""
        if self.member(name) is None:
            return ""
        try:
            return self.read(name, _MAX_NOTE).decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise invalid(f"{name} is no text") from error

    def notes(self) -> dict[str, str]:
        """What the archive says of its own form."""
        found = {
            "archive_version": self.note("version") or self.note(".data/version"),
            "byteorder": self.note("byteorder"),
        }
        return {key: text for key, text in found.items() if text}

    def unpickle(self, name: str) -> Value:
        """What the pickle would build.

        Raises:
            InvalidModelFile: it is none, or bytes follow it.
        """
        member = self.zip.members[self.root + name]
        small = member.compressed or member.size <= _MAX_CHECKED
        content = MemoryContent(self.read(name, _MAX_CHECKED)) if small else self.zip.part(self.root + name)
        try:
            value, end = run_one(content, self.findings, self.budget, persistent=self._loaded)
        except Malformed as error:
            raise invalid(f"{name} cannot be read: {error}") from error
        if end != content.size:
            raise invalid(f"bytes follow the end of {name}")
        return value

    def problems_of_others(self, is_known: Callable[[str], bool]) -> list[str]:
        """What is unsafe in members that are neither known by their name nor the storages of what was unpickled.

        PyTorch does not load them; but somebody put them there.
        """
        storages = {f"{folder}/{key}" for key in self._storages for folder in ("data", "constants")}
        others = [name for name in self.names() if name not in storages and not is_known(name.lower())]
        return strays.look(self.zip, [self.root + name for name in others], self.budget).problems

    def _loaded(self, id_: Value) -> Value:
        """Note a storage when its id is met."""
        if isinstance(id_, tuple) and len(id_) >= 3 and id_[0] == "storage" and isinstance(id_[2], str):
            self._storages.add(id_[2])
        return loaded(id_)

    def storages(self, folder: str) -> "ArchiveStorages":
        """The storages whose bytes are members of a folder."""
        return ArchiveStorages(self, folder)


class ArchiveStorages:
    """See Storages; each storage is a member."""

    def __init__(self, archive: Archive, folder: str) -> None:
        self._archive = archive
        self._folder = folder

    def begin(self, key: str, size: int) -> int:
        """See Storages."""
        member = self._archive.member(f"{self._folder}/{key}")
        if member is None or member.size != size:
            raise invalid(f"the storage {key[:64]!r} is not there, or not of the {size} bytes that its tensors need")
        return member.begin if self._archive.is_little and not member.compressed else -1


def loaded(id_: Value) -> Value:
    """What PyTorch's loaders make of an id: a storage, or a class that is given with its source."""
    if isinstance(id_, tuple) and len(id_) >= 2 and id_[0] == "module" and isinstance(id_[1], Reference):
        return id_[1]
    return PersistentId(id_)
