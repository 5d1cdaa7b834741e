"""The values of a check."""

import dataclasses

import pyarrow as pa

from headwater import tree

VERDICTS = pa.schema(
    [
        pa.field("row_digest", pa.binary(tree.DIGEST_BYTES)),
        pa.field("problem", pa.string()),
    ]
)
"""What is answered of each row: its digest, or what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """What the rows would be as a version."""

    digest: bytes
    """The content digest of a version that has these rows as its one split; empty when there were problems."""
    row_count: int
    problem_count: int
