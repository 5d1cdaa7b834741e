"""What a proof is made of."""

import dataclasses

from headwater.names import DatasetVersionName
from headwater.tree.proofs import Claim, Inclusion


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """What is proved of which version."""

    version: str
    claim: Claim
    row_digest: bytes
    inclusion: Inclusion | None
    """None: the row is not there, and every chunk's rows follow."""


@dataclasses.dataclass(frozen=True, slots=True)
class ChunkRows:
    """The digests of every row of one chunk."""

    split: str
    row_digests: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class RowUse:
    """A version, and where in one of its splits a row is."""

    version: DatasetVersionName
    split: str
    rows: tuple[int, ...]
    """The first hundred of its numbers within the split."""
    count: int
