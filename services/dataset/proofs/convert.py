"""From proofs to messages."""

from headwater.dataset.v1 import proofs_pb2
from headwater.tree import Node
from headwater.tree.proofs import Inclusion
from services.dataset.proofs.model import ChunkRows, RowUse, Statement

FORMAT = "headwater.proof/1"


def part_to_proto(part: Statement | ChunkRows) -> proofs_pb2.RowProof:
    """One part of a proof; the parts together are the proof."""
    if isinstance(part, ChunkRows):
        return proofs_pb2.RowProof(absence=[proofs_pb2.Absence(split=part.split, row_digests=part.row_digests)])
    claim = part.claim
    return proofs_pb2.RowProof(
        format=FORMAT,
        version=part.version,
        version_digest=claim.version_digest,
        schema_digest=claim.schema_digest,
        splits=[
            proofs_pb2.ProofSplit(name=split.name, row_count=split.row_count, root=split.root) for split in claim.splits
        ],
        row_digest=part.row_digest,
        inclusion=inclusion_to_proto(part.inclusion) if part.inclusion else None,
    )


def inclusion_to_proto(inclusion: Inclusion) -> proofs_pb2.Inclusion:
    """The way from a row to its root."""
    return proofs_pb2.Inclusion(
        split=inclusion.split,
        row=inclusion.row,
        chunk_steps=[
            proofs_pb2.ChunkStep(digests=step.digests, position=step.position) for step in inclusion.chunk_steps
        ],
        split_steps=[_split_step(step.children, step.position) for step in inclusion.split_steps],
    )


def use_to_proto(use: RowUse) -> proofs_pb2.RowUse:
    """A version that holds a row."""
    return proofs_pb2.RowUse(version=str(use.version), split=use.split, rows=use.rows, count=use.count)


def _split_step(children: tuple[Node, ...], position: int) -> proofs_pb2.SplitStep:
    return proofs_pb2.SplitStep(
        digests=b"".join(child.digest for child in children),
        row_counts=[child.row_count for child in children],
        position=position,
    )
