"""What is to be said of a document: where, and what is wrong with it or only odd."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from headwater.errors import InvalidArgument


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a text, from 1."""

    line: int
    column: int


@dataclasses.dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about one field. It never shows a secret."""

    path: str
    """``train.data_source.training_data.bucket``; empty for the document as a whole."""
    message: str
    place: Place

    def __str__(self) -> str:
        return f"line {self.place.line}: {self.path}: {self.message}" if self.path else self.message


_MAX_TOLD: Final = 50


class InvalidPackage(InvalidArgument):
    """A document breaks rules. All of them are in ``remarks``, in the order of the document; the text has the first."""

    reason = "PACKAGE_INVALID"
    text = "The document is not valid."

    def __init__(self, remarks: Sequence[Remark], name: str = "") -> None:
        self.remarks = tuple(sorted(remarks, key=lambda remark: remark.place))
        self.violations = [(remark.path, remark.message) for remark in self.remarks]
        listed = "; ".join(str(remark) for remark in self.remarks[:_MAX_TOLD])
        if (more := len(self.remarks) - _MAX_TOLD) > 0:
            listed = f"{listed}; and {more:,} more"
        super().__init__(f"{name}: {listed}" if name else listed, error_count=len(self.remarks))


def nearest(places: Mapping[str, Place], path: str) -> Place:
    """Where a field is, or the nearest section around it that is written."""
    while path and path not in places:
        path = path.rpartition(".")[0]
    return places.get(path, Place(1, 1))
