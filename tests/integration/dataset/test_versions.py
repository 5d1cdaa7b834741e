"""Commits: how versions are numbered, refused, retried and raced for."""

import asyncio
import functools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService
from headwater import datasets, tree
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2
from headwater.datasets.catalog import stub
from headwater.errors import Code, HeadwaterError, NotFound
from headwater.references import NoVersionYet
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo

PARENT = "projects/default/datasets/d"


def numbers(*values: int, column: str = "a") -> datasets.Tables:
    return datasets.Tables({"train": pa.table({column: pa.array(values, pa.int64())})})


def version_of(pushed: datasets.Pushed) -> str:
    return pushed.version.name.rpartition("/")[2]


def filled_upload(connection: Connection, source: datasets.RowSource, parent: str = PARENT) -> str:
    upload = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent=parent)).name
    datasets.put(connection, upload, source)
    return upload


async def test_versions_count_minor_for_rows_and_major_for_columns(connection: Connection) -> None:
    """R-34: monotonic versions."""

    def story() -> None:
        assert version_of(datasets.push(connection, "d", numbers(1))) == "v1.0.0"
        assert version_of(datasets.push(connection, "d", numbers(1, 2))) == "v1.1.0"
        assert version_of(datasets.push(connection, "d", numbers(1, 2, column="b"))) == "v2.0.0"
        # Only the latest counts: going back to what an older one had is a change.
        back = datasets.push(connection, "d", numbers(1))
        assert (version_of(back), back.created, back.version.parent_version) == ("v3.0.0", True, "v2.0.0")
        assert version_of(datasets.push(connection, "d", numbers(3), version="v7.1.2")) == "v7.1.2"
        listed = [version.name.rpartition("/")[2] for version in datasets.list_versions(connection, "d")]
        assert listed == ["v7.1.2", "v3.0.0", "v2.0.0", "v1.1.0", "v1.0.0"]
        assert datasets.get(connection, "d").latest_version == "v7.1.2"
        assert datasets.resolve(connection, "d") == f"{PARENT}/versions/v7.1.2"

    await asyncio.to_thread(story)


async def test_a_version_that_is_not_greater_or_is_none_is_refused(connection: Connection) -> None:
    def story() -> None:
        datasets.push(connection, "d", numbers(1))
        datasets.push(connection, "d", numbers(2))
        for version, reason in (
            ("v1.1.0", "VERSION_NOT_GREATER"),
            ("v1.0.9", "VERSION_NOT_GREATER"),
            ("1.2.0", "INVALID_VERSION"),
            ("v1.2", "INVALID_VERSION"),
            ("v01.2.3", "INVALID_VERSION"),
            ("latest", "INVALID_VERSION"),
        ):
            request = datasets_pb2.CommitUploadRequest(name=filled_upload(connection, numbers(3)), version=version)
            with pytest.raises(HeadwaterError) as refusal:
                stub(connection).CommitUpload(request)
            assert refusal.value.reason == reason
            assert datasets.get(connection, "d").latest_version == "v1.1.0"

    await asyncio.to_thread(story)


async def test_a_version_that_no_rows_could_get_is_refused_before_one_is_read(connection: Connection) -> None:
    def story() -> None:
        datasets.push(connection, "d", numbers(1))
        datasets.push(connection, "d", numbers(2))

        def batches(read: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            read.append(pa.record_batch({"a": [3]}))
            yield read[-1]

        for name, version, reason in (
            ("d", "v1.0.0", "VERSION_NOT_GREATER"),
            ("d", "v0.9.10", "VERSION_NOT_GREATER"),
            ("d", "v2", "INVALID_VERSION"),
            ("new", "latest", "INVALID_VERSION"),
        ):
            read: list[pa.RecordBatch] = []
            reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), batches(read))
            with pytest.raises(HeadwaterError) as refusal:
                datasets.push(connection, name, datasets.Tables({"train": reader}), version=version)
            assert (refusal.value.reason, read) == (reason, [])
        with pytest.raises(NotFound):
            datasets.get(connection, "new")
        with pytest.raises(HeadwaterError) as refusal:
            datasets.push(connection, "d", numbers(3), version="v1.1.0")  # which only the commit can tell
        assert refusal.value.reason == "VERSION_NOT_GREATER"
        assert version_of(datasets.push(connection, "d", numbers(3), version="v1.10.0")) == "v1.10.0"

    await asyncio.to_thread(story)


async def test_rows_that_have_a_version_get_no_second_one_and_whoever_asks_is_told(connection: Connection) -> None:
    def story() -> None:
        datasets.push(connection, "d", numbers(1), version="v1.2.0")
        again = datasets.push(connection, "d", numbers(1), version="v1.2.0")
        assert (version_of(again), again.created) == ("v1.2.0", False)
        for version in ("v1.3.0", "v0.1.0"):
            upload = filled_upload(connection, numbers(1))
            with pytest.raises(HeadwaterError) as refusal:
                stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload, version=version))
            assert (refusal.value.reason, refusal.value.metadata["version"]) == ("COMMIT_HAS_VERSION", "v1.2.0")
        assert datasets.get(connection, "d").latest_version == "v1.2.0"

    await asyncio.to_thread(story)


async def test_of_commits_at_the_same_time_to_one_branch_one_wins_and_the_others_are_told_the_head(
    connection: Connection,
) -> None:
    """Promise 3: the branch is compared and set."""
    uploads = [await asyncio.to_thread(filled_upload, connection, numbers(row)) for row in range(50)]

    async def commit(upload: str) -> datasets_pb2.CommitUploadResponse | HeadwaterError:
        request = datasets_pb2.CommitUploadRequest(name=upload)
        try:
            return await asyncio.to_thread(stub(connection).CommitUpload, request)
        except HeadwaterError as error:
            return error

    answers = await asyncio.gather(*(commit(upload) for upload in uploads))
    (won,) = [answer for answer in answers if isinstance(answer, datasets_pb2.CommitUploadResponse)]
    lost = [answer for answer in answers if isinstance(answer, HeadwaterError)]
    assert won.created
    assert {(error.code, error.reason) for error in lost} == {(Code.ABORTED, "BRANCH_MOVED")}
    assert {error.metadata["head"] for error in lost} == {won.commit.name.rpartition("/")[2]}
    versions = await asyncio.to_thread(lambda: list(datasets.list_versions(connection, "d")))
    assert [version.commit for version in versions] == [won.commit.name]


async def test_the_same_rows_committed_at_the_same_time_make_one_version(connection: Connection) -> None:
    uploads = [await asyncio.to_thread(filled_upload, connection, numbers(1, 2, 3)) for _ in range(6)]
    requests = [datasets_pb2.CommitUploadRequest(name=upload) for upload in uploads]
    committed = await asyncio.gather(*(asyncio.to_thread(stub(connection).CommitUpload, each) for each in requests))
    assert sum(answer.created for answer in committed) == 1
    assert len({answer.dataset_version.name for answer in committed}) == 1


async def test_a_retry_with_the_same_request_id_gets_the_first_answer_also_after_a_restart(
    start_service: StartService, connection_to: ConnectTo
) -> None:
    """Promise 4."""
    service = await start_service(build, Settings, flight_port=0)
    connection = connection_to(service)
    create = datasets_pb2.CreateUploadRequest(parent=PARENT, request_id=str(uuid.uuid4()))
    dataset = datasets_pb2.CreateDatasetRequest(
        parent="projects/default", dataset_id="other", request_id=str(uuid.uuid4())
    )

    def first() -> tuple[datasets_pb2.CommitUploadRequest, Any]:
        stub(connection).CreateDataset(dataset)
        upload = stub(connection).CreateUpload(create)
        assert stub(connection).CreateUpload(create).name == upload.name
        datasets.put(connection, upload.name, numbers(1))
        commit = datasets_pb2.CommitUploadRequest(name=upload.name, request_id=str(uuid.uuid4()))
        answer = stub(connection).CommitUpload(commit)
        assert stub(connection).CommitUpload(commit) == answer
        return commit, answer

    commit, answer = await asyncio.to_thread(first)
    await service.stop()
    connection = connection_to(await start_service(build, Settings, flight_port=0))

    def second() -> None:
        assert stub(connection).CommitUpload(commit) == answer
        assert stub(connection).CreateDataset(dataset).name == "projects/default/datasets/other"
        calls: list[tuple[Any, Any]] = [
            (commit, stub(connection).CommitUpload),
            (dataset, stub(connection).CreateDataset),
        ]
        for request, call in calls:
            changed = type(request).FromString(request.SerializeToString())
            if isinstance(changed, datasets_pb2.CommitUploadRequest):
                changed.message = "another body"
            else:
                changed.dataset_id = "another"
            with pytest.raises(HeadwaterError) as refusal:
                call(changed)
            assert refusal.value.reason == "REQUEST_ID_REUSED"

    await asyncio.to_thread(second)


async def test_an_upload_takes_nothing_after_its_end(connection: Connection) -> None:
    def story() -> None:
        committed = filled_upload(connection, numbers(1))
        stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=committed))
        aborted = filled_upload(connection, numbers(2))
        aborting = stub(connection).AbortUpload(datasets_pb2.AbortUploadRequest(name=aborted))
        assert aborting.state == datasets_pb2.Upload.STATE_ABORTED
        assert stub(connection).AbortUpload(datasets_pb2.AbortUploadRequest(name=aborted)) == aborting
        file = datasets_pb2.SourceFile(path="a", digest="sha256:" + "0" * 64)
        for upload in (committed, aborted):
            commit = datasets_pb2.CommitUploadRequest(name=upload)
            add = datasets_pb2.AddSourceFilesRequest(name=upload, source_files=[file])
            attempts: list[Callable[[], object]] = [
                functools.partial(datasets.put, connection, upload, numbers(3)),
                functools.partial(stub(connection).CommitUpload, commit),
                functools.partial(stub(connection).AddSourceFiles, add),
            ]
            for attempt in attempts:
                with pytest.raises(HeadwaterError) as refusal:
                    attempt()
                assert refusal.value.reason == "UPLOAD_NOT_OPEN"
        with pytest.raises(HeadwaterError) as refusal:
            stub(connection).AbortUpload(datasets_pb2.AbortUploadRequest(name=committed))
        assert refusal.value.reason == "UPLOAD_NOT_OPEN"

    await asyncio.to_thread(story)


async def test_splits_with_other_columns_make_no_version(connection: Connection) -> None:
    def story() -> None:
        upload = filled_upload(connection, numbers(1))
        datasets.put(connection, upload, datasets.Tables({"test": pa.table({"b": [1]})}))
        with pytest.raises(HeadwaterError) as refusal:
            stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))
        assert refusal.value.reason == "SPLIT_SCHEMAS_DIFFER"
        # Putting a split again replaces it.
        datasets.put(connection, upload, datasets.Tables({"test": pa.table({"a": [5]})}))
        answer = stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))
        assert [split.name for split in answer.dataset_version.splits] == ["test", "train"]

    await asyncio.to_thread(story)


async def test_what_a_version_is_derived_from_must_exist(connection: Connection) -> None:
    def story() -> None:
        base = datasets.push(connection, "base", numbers(1)).version.name
        pipeline = "projects/default/pipelines/prep/versions/1.0.0"
        derived = datasets.push(connection, "d", numbers(2), derived_from=[base, pipeline])
        assert list(derived.version.derived_from) == [base, pipeline]
        for name, reason in (
            (base.replace("v1.0.0", "v1.0.1"), "DATASET_VERSION_NOT_FOUND"),
            ("projects/default/datasets/nothing/versions/v1.0.0", "DATASET_NOT_FOUND"),
            ("projects/default/models/m/versions/1", "INVALID_DERIVATION"),
            ("../../etc/passwd", "INVALID_DERIVATION"),
        ):
            with pytest.raises(HeadwaterError) as refusal:
                datasets.push(connection, "d", numbers(3), derived_from=[name])
            assert refusal.value.reason == reason

    await asyncio.to_thread(story)


async def test_source_files_are_named_once_and_never_changed(connection: Connection) -> None:
    def story() -> None:
        upload = filled_upload(connection, numbers(1))

        def add(path: str, digit: str = "0") -> int:
            file = datasets_pb2.SourceFile(path=path, digest="sha256:" + digit * 64, size_bytes=1)
            request = datasets_pb2.AddSourceFilesRequest(name=upload, source_files=[file])
            return stub(connection).AddSourceFiles(request).source_file_count

        assert (add("b/a.png"), add("a.png"), add("a.png")) == (1, 2, 2)
        for path, digit, reason in (
            ("a.png", "1", "SOURCE_FILE_CONFLICT"),
            ("/etc/passwd", "0", "INVALID_SOURCE_PATH"),
            ("../a.png", "0", "INVALID_SOURCE_PATH"),
            ("a//b", "0", "INVALID_SOURCE_PATH"),
            ("a\\b", "0", "INVALID_SOURCE_PATH"),
            ("a\nb", "0", "INVALID_SOURCE_PATH"),
            ("a\0b", "0", "INVALID_FIELDS"),
            ("", "0", "INVALID_FIELDS"),
            ("c.png", "g", "INVALID_FIELDS"),
        ):
            with pytest.raises(HeadwaterError) as refusal:
                add(path, digit)
            assert refusal.value.reason == reason, path
        stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))
        version = datasets.get_version(connection, "d")
        assert version.source_file_count == 2
        assert [file.path for file in datasets.list_source_files(connection, version.name)] == ["a.png", "b/a.png"]

    await asyncio.to_thread(story)


async def test_lists_are_paged(connection: Connection) -> None:
    def story() -> None:
        for row in range(5):
            datasets.push(connection, "d", numbers(row))
            datasets.push(connection, f"e{row}", numbers(row))
        service = stub(connection)
        versions = datasets_pb2.ListDatasetVersionsRequest(parent=PARENT, page_size=2)
        seen = []
        while True:
            page = service.ListDatasetVersions(versions)
            seen.append([version.name.rpartition("/")[2] for version in page.dataset_versions])
            if not page.next_page_token:
                break
            versions.page_token = page.next_page_token
        assert seen == [["v1.4.0", "v1.3.0"], ["v1.2.0", "v1.1.0"], ["v1.0.0"]]
        names = datasets_pb2.ListDatasetsRequest(parent="projects/default", page_size=4)
        listed = service.ListDatasets(names)
        assert [each.name.rpartition("/")[2] for each in listed.datasets] == ["d", "e0", "e1", "e2"]
        names.page_token = listed.next_page_token
        assert [each.name.rpartition("/")[2] for each in service.ListDatasets(names).datasets] == ["e3", "e4"]
        # A token of one list is no token of another.
        versions.page_token = listed.next_page_token
        with pytest.raises(HeadwaterError) as refusal:
            service.ListDatasetVersions(versions)
        assert refusal.value.reason == "INVALID_PAGE_TOKEN"

    await asyncio.to_thread(story)


async def test_chunks_are_paged_in_row_order_and_make_the_root(connection: Connection) -> None:
    def story() -> None:
        table = pa.table({"a": pa.array(range(300_000)), "b": pa.array([f"{row:032}" for row in range(300_000)])})
        version = datasets.push(connection, "d", datasets.Tables({"train": table})).version
        (split,) = version.splits
        request = datasets_pb2.ListChunksRequest(parent=version.name, split="train", page_size=3)
        chunks: list[datasets_pb2.Chunk] = []
        while True:
            page = stub(connection).ListChunks(request)
            chunks += page.chunks
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert len(chunks) == split.chunk_count > 6
        for said in ((version.name, "train"), ("d@v1.0.0", "train"), ("s3://datasets/d/v1.0.0/train.tar",)):
            assert chunks == list(datasets.list_chunks(connection, *said))
        row = 0
        for chunk in chunks:
            assert chunk.first_row == row
            row += chunk.row_count
        assert row == split.row_count
        assert sum(chunk.size_bytes for chunk in chunks) == split.size_bytes
        nodes = [tree.Node(tree.parse_digest(chunk.digest), chunk.row_count) for chunk in chunks]
        assert tree.digest_text(tree.split_root(nodes).digest) == split.root

    await asyncio.to_thread(story)


async def test_names_are_names(connection: Connection) -> None:
    """Promise 13: what a user types never becomes a path."""

    def story() -> None:
        service = stub(connection)
        for name in ("..", "a/../b", "a/", "x" * 256, "digits\u0301", "dіgits", ".hidden", "-a", " a", "a b"):
            with pytest.raises(HeadwaterError) as refusal:
                service.CreateDataset(datasets_pb2.CreateDatasetRequest(parent="projects/default", dataset_id=name))
            assert refusal.value.reason in ("INVALID_NAME", "INVALID_FIELDS"), name
            with pytest.raises(HeadwaterError) as refusal:
                service.CreateUpload(datasets_pb2.CreateUploadRequest(parent=f"projects/default/datasets/{name}"))
            assert refusal.value.reason == "INVALID_NAME", name
            upload = filled_upload(connection, numbers(1))
            with pytest.raises(HeadwaterError) as refusal:
                datasets.put(connection, upload, datasets.Tables({name: pa.table({"a": [1]})}))
            assert refusal.value.reason in ("INVALID_NAME", "INVALID_FIELDS"), name
        with pytest.raises(HeadwaterError) as refusal:
            service.CreateDataset(datasets_pb2.CreateDatasetRequest(parent="projects/default", dataset_id="a\0b"))
        assert refusal.value.reason == "INVALID_FIELDS"
        with pytest.raises(NotFound):
            datasets.get(connection, "nothing")
        assert [each.name for each in datasets.list_datasets(connection)] == [PARENT]

    await asyncio.to_thread(story)


async def test_a_dataset_is_created_with_what_can_be_set_and_nothing_else(connection: Connection) -> None:
    def story() -> None:
        service = stub(connection)
        given = datasets_pb2.Dataset(display_name="Digits", description="Scanned.")
        request = datasets_pb2.CreateDatasetRequest(parent="projects/default", dataset_id="digits", dataset=given)
        created = service.CreateDataset(request)
        assert (created.display_name, created.description, created.created_by) == ("Digits", "Scanned.", "tester")
        assert service.GetDataset(datasets_pb2.GetDatasetRequest(name=created.name)) == created
        for name, reason in (("digits", "DATASET_ALREADY_EXISTS"), ("DIGITS", "DATASET_ALREADY_EXISTS")):
            with pytest.raises(HeadwaterError) as refusal:
                service.CreateDataset(datasets_pb2.CreateDatasetRequest(parent="projects/default", dataset_id=name))
            assert refusal.value.reason == reason
        with pytest.raises(HeadwaterError) as refusal:
            service.CreateUpload(datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/Digits"))
        assert refusal.value.reason == "DATASET_ALREADY_EXISTS"
        request.dataset.uid = "mine"
        request.dataset_id = "other"
        with pytest.raises(HeadwaterError) as refusal:
            service.CreateDataset(request)
        assert refusal.value.reason == "INVALID_ARGUMENT"
        etag = created.etag
        datasets.push(connection, "digits", numbers(1))
        assert datasets.get(connection, "digits").etag != etag
        service.CreateDataset(datasets_pb2.CreateDatasetRequest(parent="projects/default", dataset_id="empty"))
        with pytest.raises(NoVersionYet):
            datasets.resolve(connection, "empty")

    await asyncio.to_thread(story)


async def test_a_reader_writes_nothing(service: Service, connection_to: ConnectTo) -> None:
    reader = connection_to(service, Role.READER)

    def story() -> None:
        with pytest.raises(HeadwaterError) as refusal:
            datasets.push(reader, "d", numbers(1))
        assert refusal.value.reason == "PERMISSION_DENIED"
        writer = connection_to(service)
        upload = filled_upload(writer, numbers(1))
        with pytest.raises(HeadwaterError) as refusal:
            datasets.put(reader, upload, numbers(2))
        assert refusal.value.reason == "PERMISSION_DENIED"
        stub(writer).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))
        rows = datasets.reader(reader, f"{PARENT}/versions/v1.0.0", "train").read_all()
        assert rows.to_pydict() == {"a": [1]}

    await asyncio.to_thread(story)
