"""Documents of all kinds: told apart by what is in them, read whole, written canonically.

reading = read(Path("model.yaml").read_bytes())
reading.document            # a ModelPackage, a ModelDescription, a TrainingRecipe or an ExperimentRecord
reading.warnings            # misspelt fields, secrets in clear
text = write(reading.document)
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from headwater import marked_yaml
from headwater.marked_yaml import Node
from headwater.packaging import moves, rules, spelling, writer
from headwater.packaging.description import ModelDescription
from headwater.packaging.experiment import ExperimentRecord
from headwater.packaging.fields import fields_of
from headwater.packaging.model import ModelPackage
from headwater.packaging.reader import Reader
from headwater.packaging.recipe import TrainingRecipe
from headwater.packaging.remarks import InvalidPackage, Place, Remark, nearest

Document: TypeAlias = ModelPackage | ModelDescription | TrainingRecipe | ExperimentRecord

KINDS: Final[tuple[type[Document], ...]] = (ModelPackage, ModelDescription, TrainingRecipe, ExperimentRecord)
LIMITS: Final = marked_yaml.Limits(max_characters=2**20, max_depth=24, max_values=10_000)


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """A document that breaks no rule, and what is to be said of it."""

    document: Document
    warnings: tuple[Remark, ...]
    places: Mapping[str, Place]
    """Where each field is written, by its path."""

    def place(self, path: str) -> Place:
        """Where a field is, or the nearest one around it."""
        return nearest(self.places, path)


def read(text: str | bytes, name: str = "") -> Reading:
    """The document that ``text`` is. ``name`` is what errors call it.

    Raises:
        InvalidPackage: with every rule that it breaks, each with the path of the field and its line.
        YamlMissing: see :mod:`headwater.marked_yaml`.
    """
    try:
        root = marked_yaml.compose(text, LIMITS)
    except marked_yaml.YamlFault as fault:
        message = f"line {fault.line}: {fault.problem}"
        raise InvalidPackage([Remark("", message, Place(fault.line, fault.column))], name) from None
    kind = _recognise(root, name)
    reader = Reader()
    moves.move(root, kind.MOVES, reader)
    document = rules.settle(reader.section(kind, root), reader)
    if not reader.errors and not writer.plain(document).keys() - {"specVersion", "mlSpecVersion"}:
        reader.error("", "it says nothing", root)
    if reader.errors:
        raise InvalidPackage(reader.errors, name)
    return Reading(document, tuple(sorted(reader.warnings, key=lambda remark: remark.place)), reader.places)


def read_file(file: Path, name: str = "") -> Reading:
    """As :func:`read`, of a file, of which no more is read than a document may have.

    Raises:
        InvalidPackage, YamlMissing
        OSError: the file cannot be read.
    """
    with file.open("rb") as content:
        return read(content.read(LIMITS.max_characters + 1), name)


def write(document: Document) -> str:
    """The document as canonical YAML, which reads as the same document: without secrets in clear.

    Raises:
        YamlMissing: see :mod:`headwater.marked_yaml`.
    """
    return writer.text(document)


def _recognise(root: Node, name: str) -> type[Document]:
    """The kind that has most of the document's fields; the first of those that have as many."""
    if root.kind == "mapping":
        known = {kind: _known(root, kind) for kind in KINDS}
        best = max(KINDS, key=lambda kind: known[kind])
        if known[best]:
            return best
    titles = ", ".join(kind.TITLE for kind in KINDS)
    raise InvalidPackage([Remark("", f"it is none of these: {titles}", Place(root.line, root.column))], name)


def _known(root: Node, kind: type[Document]) -> int:
    keys = {field.key for field in fields_of(kind)}
    alone = {source for source, _ in kind.MOVES if "." not in source}
    count = sum(bool({key, spelling.meant(key)} & (keys | alone)) for key in root.entries)
    # Sections written as lists of pairs are a recipe's: a package has a framework too.
    if kind is TrainingRecipe:
        count += sum(entry.kind == "list" for key, entry in root.entries.items() if key in ("framework", "model"))
    return count
