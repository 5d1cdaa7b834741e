"""N-02, the dataset's half: which versions hold a row, and proofs that anybody can check without the service."""

import asyncio
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.service import Service
from headwater import datasets
from headwater.client import Connection
from headwater.datasets import proofs
from headwater.errors import HeadwaterError, InvalidArgument
from headwater.tree import parse_digest
from headwater.tree.proofs import ProofInvalid

PEOPLE = "projects/default/datasets/people"
NOBODY = hashlib.sha256(b"nobody").digest()


def people(count: int, first: int = 0) -> pa.Table:
    numbers = np.arange(first, first + count)
    names = pa.array([f"person {number}" for number in numbers], pa.string())
    return pa.table({"id": numbers, "name": names, "score": numbers / 7})


def push(connection: Connection, rows: pa.Table, dataset: str = "people", **splits: pa.Table) -> str:
    return datasets.push(connection, dataset, datasets.Tables({"train": rows, **splits})).version.name


async def test_a_row_is_proved_where_it_is(connection: Connection) -> None:
    """N-02."""

    def story() -> None:
        rows = people(50_000)
        version = push(connection, rows, test=people(10, 90_000))
        digest = proofs.row_digests(rows.slice(31_415, 1))[0]

        proof = proofs.prove(connection, version, digest)
        assert proof.ByteSize() < 20_000
        proved = proofs.check_proof(proofs.read_proof(proof.SerializeToString()))
        assert (proved.split, proved.row, proved.version) == ("train", 31_415, version)
        assert proved.version_digest == parse_digest(datasets.get_version(connection, version).digest)

        in_test = proofs.row_digests(people(1, 90_003))[0]
        assert proofs.check_proof(proofs.prove(connection, "people", in_test)).split == "test"

    await asyncio.to_thread(story)


async def test_a_row_that_was_not_used_is_proved_absent(connection: Connection) -> None:
    """N-02: this person's record was not used."""

    def story() -> None:
        version = push(connection, people(50_000), test=people(10, 90_000))
        absent = proofs.row_digests(people(1, 60_000))[0]
        proof = proofs.prove(connection, version, absent)
        proved = proofs.check_proof(proof)
        assert not proved.is_present
        # What was left out shows.
        del proof.absence[0]
        with pytest.raises(ProofInvalid):
            proofs.check_proof(proof)

    await asyncio.to_thread(story)


async def test_every_version_that_holds_a_row_is_listed_newest_first(connection: Connection) -> None:
    """N-02."""

    def story() -> None:
        rows = people(5_000)
        first = push(connection, rows)
        second = push(connection, pa.concat_tables([people(3, 70_000), rows]), test=rows.slice(10, 2))
        push(connection, rows.slice(100))
        push(connection, rows, dataset="copy")
        digest = proofs.row_digests(rows.slice(11, 1))[0]

        found = [(use.version, use.split, list(use.rows), use.count) for use in proofs.uses(connection, PEOPLE, digest)]
        assert found == [(second, "test", [1], 1), (second, "train", [14], 1), (first, "train", [11], 1)]
        everywhere = [use.version for use in proofs.uses(connection, "projects/default", digest)]
        assert everywhere == ["projects/default/datasets/copy/versions/v1.0.0", second, second, first]
        assert list(proofs.uses(connection, PEOPLE, NOBODY)) == []

    await asyncio.to_thread(story)


async def test_uses_come_in_pages(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def story() -> None:
        rows = people(200)
        for extra in range(7):
            push(connection, pa.concat_tables([rows, people(extra, 1000)]), test=rows, holdout=rows)
        digest = proofs.row_digests(rows.slice(5, 1))[0]
        whole = [(use.version, use.split) for use in proofs.uses(connection, PEOPLE, digest)]
        assert len(whole) == len(set(whole)) == 21
        for size in (1, 2, 5, 20):
            monkeypatch.setattr(proofs, "_PAGE", size)
            assert [(use.version, use.split) for use in proofs.uses(connection, PEOPLE, digest)] == whole

    await asyncio.to_thread(story)


async def test_a_row_of_a_million_is_found(connection: Connection) -> None:
    """N-02; how long it takes is measured by `make bench`."""

    def story() -> None:
        rows = pa.table({"id": np.arange(1_000_000)})
        version = push(connection, rows)
        digest = proofs.row_digests(rows.slice(999_999, 1))[0]
        assert proofs.check_proof(proofs.prove(connection, version, digest)).row == 999_999
        assert [use.count for use in proofs.uses(connection, PEOPLE, digest)] == [1]

    await asyncio.to_thread(story)


async def test_what_cannot_be_a_proof_or_a_row_is_refused(connection: Connection, service: Service) -> None:
    def story() -> None:
        version = push(connection, people(10))
        with pytest.raises(InvalidArgument, match="row_digest"):
            proofs.prove(connection, version, b"short")
        with pytest.raises(HeadwaterError) as missing:
            proofs.prove(connection, f"{PEOPLE}/versions/v9.0.0", NOBODY)
        assert missing.value.reason == "DATASET_VERSION_NOT_FOUND"
        with pytest.raises(HeadwaterError) as nowhere:
            list(proofs.uses(connection, "projects/default/datasets/none", NOBODY))
        assert nowhere.value.reason == "DATASET_NOT_FOUND"
        with pytest.raises(InvalidArgument):
            list(proofs.uses(connection, "projects/default/datasets/..", NOBODY))

    await asyncio.to_thread(story)


@given(data=st.data())
@settings(max_examples=300)
def test_no_bent_bytes_pass_for_a_proof(data: st.DataObject) -> None:
    """A proof of a small version, with bytes changed, dropped or added, says what it said or is refused."""
    good = Path("tests/data/proofs/person-7.proof").read_bytes()
    assert proofs.check_proof(proofs.read_proof(good)).row == 7
    position = data.draw(st.integers(0, len(good) - 1))
    bent = data.draw(
        st.one_of(
            st.integers(0, 255).map(lambda byte: good[:position] + bytes([byte]) + good[position + 1 :]),
            st.binary(max_size=40).map(lambda extra: good[:position] + extra + good[position:]),
            st.integers(1, 64).map(lambda count: good[:position] + good[position + count :]),
        )
    )
    try:
        proved = proofs.check_proof(proofs.read_proof(bent))
    except InvalidArgument:
        return
    original = proofs.check_proof(proofs.read_proof(good))
    if proved.version_digest == original.version_digest:
        assert (proved.row_digest, proved.row, proved.split) == (original.row_digest, original.row, original.split)
