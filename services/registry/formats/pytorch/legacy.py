"""Reads what ``torch.save`` wrote before 1.6, and writes still with ``_use_new_zipfile_serialization=False``.

Pickles, one after the other: a magic number, the protocol's version, facts of the system, the object, the keys of its
storages. Then the storages in that order, each as its number of elements (64 bits) and its bytes.
"""

from services.registry.formats.content import Content
from services.registry.formats.facts import MAX_TENSORS, FileFacts, Format
from services.registry.formats.pickles.allowed import DTYPES, STORAGES
from services.registry.formats.pickles.cursor import Budget, Malformed
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.scan import run_one
from services.registry.formats.pickles.values import Reference, Value, members
from services.registry.formats.pytorch import saved
from services.registry.formats.pytorch.archive import loaded
from services.registry.formats.pytorch.tensors import invalid

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT_BYTES = 8


def fits(content: Content) -> bool:
    """Whether the first pickle is the magic number."""
    if content.size < 16 or content.read(0, 1)[0] != 0x80:
        return False
    try:
        magic, _ = run_one(content, Findings(), Budget(steps=10))
    except Malformed:
        return False
    return isinstance(magic, int) and magic == _MAGIC


def read(content: Content, budget: Budget) -> FileFacts:
    """See the module.

    Raises:
        InvalidModelFile: it breaks a rule of the format.
    """
    findings = Findings()
    known = _Storages()
    values: list[Value] = []
    position = 0
    try:
        for _ in range(5):
            value, position = run_one(content, findings, budget, position, known.loaded)
            values.append(value)
    except Malformed as error:
        raise invalid(f"its pickles cannot be read: {error}") from error
    _, protocol, system, value, keys = values
    if protocol != _PROTOCOL or not isinstance(keys, list) or len(keys) > MAX_TENSORS:
        raise invalid("it is of another protocol, or has no list of storages")
    is_little = members(system).get("little_endian") is True
    known.place(content, keys, position, is_little)
    return saved.facts(Format.PYTORCH_LEGACY, value, known, findings, {"byteorder": "little" if is_little else "big"})


class _Storages:
    """See Storages; where each is follows from the sizes of those before it."""

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}  # elements, and bytes of one
        self._begins: dict[str, int] = {}

    def loaded(self, id_: Value) -> Value:
        """Note a storage's size when its id is met."""
        parts = id_ if isinstance(id_, tuple) else ()
        if len(parts) >= 5 and isinstance(parts[1], Reference) and isinstance(parts[2], str):
            dtype, count = STORAGES.get(parts[1].name, ""), parts[4]
            if type(count) is int and count >= 0:
                self._sizes[parts[2]] = (count, DTYPES[dtype][1] if dtype else 1)
        return loaded(id_)

    def place(self, content: Content, keys: list[Value], position: int, is_little: bool) -> None:
        """Find all storages, the first at ``position``; they must fill the rest of the file."""
        for key in keys:
            if not isinstance(key, str) or key not in self._sizes or key in self._begins:
                raise invalid("a storage belongs to no tensor, or is there twice")
            if position + _COUNT_BYTES > content.size:
                raise invalid("its storages are cut off")
            count, item_size = self._sizes[key]
            if int.from_bytes(content.read(position, _COUNT_BYTES), "little" if is_little else "big") != count:
                raise invalid(f"the storage {key[:64]!r} has another size than its tensors say")
            self._begins[key] = position + _COUNT_BYTES if is_little else -1
            position += _COUNT_BYTES + count * item_size
        if position != content.size:
            raise invalid(f"its storages end at byte {position} of {content.size}")

    def begin(self, key: str, size: int) -> int:
        """See Storages."""
        count, item_size = self._sizes.get(key, (0, 0))
        if key not in self._begins or count * item_size != size:
            raise invalid(f"the storage {key[:64]!r} is not there, or not of the {size} bytes that its tensors need")
        return self._begins[key]
