"""Proving that a row is in a version, or that it is not, to somebody who trusts nothing but the version's digest.

    digest = datasets.row_digests(table)[0]
    proof = datasets.prove(connection, "people@v1.2.0", digest)
    Path("record.proof").write_bytes(proof.SerializeToString())
    datasets.check_proof(proof)                   # offline; raises ProofInvalid, or says what is proved

What is proved is relative to ``proof.version_digest``: compare it with the digest that you got by another way.
"""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import pyarrow as pa
from google.protobuf.message import DecodeError

from headwater.client import Connection
from headwater.dataset.v1 import proofs_pb2, proofs_pb2_grpc
from headwater.datasets.catalog import resolve
from headwater.names import DEFAULT_PROJECT
from headwater.pages import pages
from headwater.tree import Node, RowHasher, Split
from headwater.tree.proofs import ChunkStep, Claim, Inclusion, ProofInvalid, SplitStep, check_absence, check_inclusion

FORMAT = "headwater.proof/1"
_PAGE = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Proved:
    """What a valid proof says."""

    version: str
    version_digest: bytes
    row_digest: bytes
    split: str
    """The split that the row is in; empty: it is in none."""
    row: int
    """Its number within the split; -1: it is not there."""

    @property
    def is_present(self) -> bool:
        """Whether the row is in the version."""
        return bool(self.split)


def row_digests(rows: pa.Table | pa.RecordBatch) -> list[bytes]:
    """The digest of each row, 32 bytes; it covers the schema, so the columns must be those of the dataset."""
    hasher, batches = RowHasher(rows.schema), rows.to_batches() if isinstance(rows, pa.Table) else [rows]
    digests = b"".join(piece.digests for batch in batches for piece in hasher.hash(batch))
    return [digests[at : at + 32] for at in range(0, len(digests), 32)]


def prove(
    connection: Connection, version: str, row_digest: bytes, *, project: str = DEFAULT_PROJECT
) -> proofs_pb2.RowProof:
    """Ask the server for a proof. It is not checked here: ``check_proof``.

    Args:
        version: a resource name or a reference; of a branch, its head.
    """
    stub = proofs_pb2_grpc.RowProofServiceStub(connection.channel("dataset"))
    request = proofs_pb2.ProveRowRequest(version=resolve(connection, version, project=project), row_digest=row_digest)
    proof = proofs_pb2.RowProof()
    for part in stub.ProveRow(request):
        proof.MergeFrom(part.proof)
    return proof


def uses(connection: Connection, parent: str, row_digest: bytes) -> Iterator[proofs_pb2.RowUse]:
    """The versions that hold a row, newest first. ``parent`` is the resource name of a dataset or a project."""
    stub = proofs_pb2_grpc.RowProofServiceStub(connection.channel("dataset"))
    request = proofs_pb2.ListRowUsesRequest(parent=parent, row_digest=row_digest, page_size=_PAGE)
    for page in pages(stub.ListRowUses, request):
        yield from page.uses


def read_proof(data: bytes) -> proofs_pb2.RowProof:
    """The proof in a file's bytes, or ProofInvalid."""
    try:
        return proofs_pb2.RowProof.FromString(data)
    except DecodeError as error:
        raise ProofInvalid("This is not a proof.") from error


def check_proof(proof: proofs_pb2.RowProof) -> Proved:
    """What the proof proves, recomputed from nothing but itself.

    Raises:
        ProofInvalid: it proves nothing; the text says where it breaks.
    """
    if proof.format != FORMAT:
        raise ProofInvalid(f"The proof has the format {proof.format!r}, not {FORMAT}.")
    claim = Claim(
        proof.version_digest,
        proof.schema_digest,
        tuple(Split(split.name, split.root, _count(split.row_count)) for split in proof.splits),
    )
    if proof.HasField("inclusion"):
        check_inclusion(claim, proof.row_digest, _inclusion(proof.inclusion))
        return Proved(proof.version, proof.version_digest, proof.row_digest, proof.inclusion.split, proof.inclusion.row)
    if len(proof.row_digest) != 32:
        raise ProofInvalid("The row's digest does not have 32 bytes.")
    chunks: dict[str, list[bytes]] = collections.defaultdict(list)
    for chunk in proof.absence:
        chunks[chunk.split].append(chunk.row_digests)
    check_absence(claim, proof.row_digest, chunks)
    return Proved(proof.version, proof.version_digest, proof.row_digest, "", -1)


def _inclusion(proof: proofs_pb2.Inclusion) -> Inclusion:
    return Inclusion(
        proof.split,
        proof.row,
        tuple(ChunkStep(step.digests, step.position) for step in proof.chunk_steps),
        tuple(SplitStep(tuple(_children(step)), step.position) for step in proof.split_steps),
    )


def _children(step: proofs_pb2.SplitStep) -> Iterable[Node]:
    if len(step.digests) != 32 * len(step.row_counts):
        raise ProofInvalid("A node has not as many digests as row counts.")
    for number, row_count in enumerate(step.row_counts):
        yield Node(step.digests[32 * number : 32 * number + 32], _count(row_count))


def _count(value: int) -> int:
    if value < 0:
        raise ProofInvalid("A number of rows is negative.")
    return value
