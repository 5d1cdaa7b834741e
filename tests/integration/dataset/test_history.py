"""Branches, tags, commits and versions, from the client to the database and back."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.auth import Role
from chassis.service import Service
from chassis.testing.bad_inputs import BAD_NAMES, BAD_PAGE_TOKENS
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, history_pb2
from headwater.datasets import history
from headwater.datasets.catalog import history_stub, stub
from headwater.errors import Code, HeadwaterError, NotFound
from headwater.flight import flight_errors
from headwater.references import NoVersionYet
from tests.integration.dataset.conftest import ConnectTo

PARENT = "projects/default/datasets/d"


def numbers(*values: int) -> pa.Table:
    return pa.table({"a": pa.array(values, pa.int64())})


def commit_to(
    connection: Connection,
    branch: str = "",
    *,
    inherit: bool = False,
    parent: str = PARENT,
    request: datasets_pb2.CommitUploadRequest | None = None,
    **splits: pa.Table,
) -> datasets_pb2.CommitUploadResponse:
    """Put the splits and commit them, with what ``request`` says beside the upload's name."""
    create = datasets_pb2.CreateUploadRequest(parent=parent, branch=branch, inherit=inherit)
    upload = stub(connection).CreateUpload(create)
    if splits:
        datasets.put(connection, upload.name, datasets.Tables(splits))
    commit = datasets_pb2.CommitUploadRequest()
    commit.CopyFrom(request or datasets_pb2.CommitUploadRequest())
    commit.name = upload.name
    return stub(connection).CommitUpload(commit)


def refused(call: Callable[..., object], *args: object, **options: object) -> HeadwaterError:
    with pytest.raises(HeadwaterError) as refusal:
        call(*args, **options)
    return refusal.value


def last(name: str) -> str:
    return name.rpartition("/")[2]


async def test_a_branch_grows_beside_main_and_its_commits_are_named_when_they_are_good(connection: Connection) -> None:
    def story() -> None:
        first = commit_to(connection, train=numbers(1))
        assert (last(first.dataset_version.name), first.commit.version) == ("v1.0.0", "v1.0.0")
        assert first.dataset_version.commit == first.commit.name
        side = history.create_branch(connection, "d", "side")
        assert (side.commit, side.created_by) == (first.commit.name, "tester")
        second = commit_to(connection, "side", train=numbers(1, 2))
        assert not second.HasField("dataset_version")
        assert list(second.commit.parents) == [first.commit.name]
        assert second.commit.digest != first.commit.digest
        assert second.commit.splits[0].row_count == 2
        third = commit_to(connection, "side", train=numbers(1, 2, 3))
        assert history.get_branch(connection, "d", "main").commit == first.commit.name
        assert datasets.get(connection, "d").latest_version == "v1.0.0"
        assert [each.name for each in history.log(connection, "d@side")] == [
            each.commit.name for each in (third, second, first)
        ]
        assert [each.name for each in history.log(connection, "d")] == [first.commit.name]
        # By every name that a user might write.
        for reference in ("d@side", f"d@{last(third.commit.name)[:8]}", third.commit.name, f"{PARENT}/branches/side"):
            assert history.get_commit(connection, reference) == third.commit
            assert datasets.resolve(connection, reference) == third.commit.name
            with pytest.raises(NoVersionYet):
                datasets.get_version(connection, reference)
        version = history.create_version(connection, "d", at="side")
        assert (last(version.name), version.parent_version, version.commit) == ("v1.1.0", "v1.0.0", third.commit.name)
        assert datasets.get_version(connection, "d@side") == version == datasets.get_version(connection, "d")
        assert history.get_commit(connection, "d@side").version == "v1.1.0"

    await asyncio.to_thread(story)


async def test_splits_that_nothing_is_put_into_are_inherited_only_when_asked_for(connection: Connection) -> None:
    def story() -> None:
        first = commit_to(connection, train=numbers(1), test=numbers(2))
        second = commit_to(connection, inherit=True, test=numbers(3))
        roots = {split.name: split.root for split in first.commit.splits}
        after = {split.name: split.root for split in second.commit.splits}
        assert set(after) == {"test", "train"}
        assert after["train"] == roots["train"]
        assert after["test"] != roots["test"]
        third = commit_to(connection, test=numbers(3))
        assert [split.name for split in third.commit.splits] == ["test"]
        # Nothing put at all is the base itself.
        nothing = commit_to(connection, inherit=True)
        assert (nothing.created, nothing.commit) == (False, third.commit)
        assert refused(lambda: commit_to(connection)).reason == "UPLOAD_EMPTY"
        # Where there is no head yet, there is nothing to inherit.
        begun = commit_to(connection, inherit=True, parent="projects/default/datasets/new", train=numbers(1))
        assert begun.created

    await asyncio.to_thread(story)


async def test_an_upload_to_a_branch_that_moved_or_is_gone_is_refused(connection: Connection) -> None:
    """Promise 3."""

    def story() -> None:
        assert refused(lambda: commit_to(connection, "side", train=numbers(1))).reason == "BRANCH_NOT_FOUND"
        first = commit_to(connection, train=numbers(1))
        side = history.create_branch(connection, "d", "side", at="v1.0.0")
        create = datasets_pb2.CreateUploadRequest(parent=PARENT, branch="side")
        upload = stub(connection).CreateUpload(create)
        assert (upload.branch, upload.base_commit, upload.inherit) == ("side", first.commit.name, False)
        datasets.put(connection, upload.name, datasets.Tables({"train": numbers(7)}))
        other = commit_to(connection, "side", train=numbers(8))
        commit = datasets_pb2.CommitUploadRequest(name=upload.name)
        error = refused(lambda: stub(connection).CommitUpload(commit))
        assert (error.code, error.reason) == (Code.ABORTED, "BRANCH_MOVED")
        assert error.metadata["head"] == last(other.commit.name)
        # It is open still: it can be rebased, or committed when the branch is back where it was.
        moved = history.get_branch(connection, "d", "side")
        assert moved.etag != side.etag
        history.reset_branch(connection, moved, "v1.0.0")
        assert stub(connection).CommitUpload(commit).created
        gone = stub(connection).CreateUpload(create)
        datasets.put(connection, gone.name, datasets.Tables({"train": numbers(9)}))
        history.delete_branch(connection, history.get_branch(connection, "d", "side"))
        commit.name = gone.name
        assert refused(lambda: stub(connection).CommitUpload(commit)).reason == "BRANCH_NOT_FOUND"

    await asyncio.to_thread(story)


async def test_of_writers_that_move_a_branch_at_the_same_time_one_wins(connection: Connection) -> None:
    """Promise 3: 50 writers race, exactly one wins."""

    def begin() -> history_pb2.Branch:
        commit_to(connection, train=numbers(1))
        commit_to(connection, train=numbers(2))
        return history.create_branch(connection, "d", "side")

    side = await asyncio.to_thread(begin)

    async def reset() -> history_pb2.Branch | HeadwaterError:
        try:
            return await asyncio.to_thread(history.reset_branch, connection, side, "v1.0.0")
        except HeadwaterError as error:
            return error

    answers = await asyncio.gather(*(reset() for _ in range(50)))
    assert sum(isinstance(answer, history_pb2.Branch) for answer in answers) == 1
    assert {answer.reason for answer in answers if isinstance(answer, HeadwaterError)} == {"ETAG_MISMATCH"}


async def test_branches_and_tags_come_and_go_but_main_stays(connection: Connection) -> None:
    def story() -> None:
        first = commit_to(connection, train=numbers(1))
        second = commit_to(connection, train=numbers(2))
        tag = history.create_tag(connection, "d", "best", at="v1.0.0", message="for the paper")
        assert (tag.commit, tag.message, tag.created_by) == (first.commit.name, "for the paper", "tester")
        assert history.get_commit(connection, "d@best") == first.commit
        assert datasets.resolve(connection, "d@best") == f"{PARENT}/versions/v1.0.0"
        history.create_branch(connection, "d", "side", at=first.commit.name)
        assert [last(each.name) for each in history.list_branches(connection, "d")] == ["main", "side"]
        assert [last(each.name) for each in history.list_tags(connection, "d")] == ["best"]
        for name, reason in (("best", "BRANCH_ALREADY_EXISTS"), ("SIDE", "BRANCH_ALREADY_EXISTS")):
            assert refused(history.create_branch, connection, "d", name).reason == reason
        assert refused(lambda: history.create_tag(connection, "d", "Main")).reason == "TAG_ALREADY_EXISTS"
        main = history.get_branch(connection, "d", "main")
        assert main.commit == second.commit.name
        assert refused(lambda: history.delete_branch(connection, main)).reason == "MAIN_IS_PERMANENT"
        side = history.get_branch(connection, "d", "side")
        moved = history.reset_branch(connection, side, "main")
        assert moved.commit == second.commit.name
        assert refused(lambda: history.delete_branch(connection, side)).reason == "ETAG_MISMATCH"
        history.delete_branch(connection, moved)
        history.delete_tag(connection, "d", "best")
        assert refused(lambda: history.get_branch(connection, "d", "side")).reason == "BRANCH_NOT_FOUND"
        assert refused(lambda: history.get_commit(connection, "d@best")).reason == "TAG_NOT_FOUND"
        assert refused(lambda: history.delete_tag(connection, "d", "best")).reason == "TAG_NOT_FOUND"

    await asyncio.to_thread(story)


async def test_a_retry_of_anything_that_creates_gets_the_first_answer(connection: Connection) -> None:
    """Promise 4."""

    def story() -> None:
        commit_to(connection, train=numbers(1))
        history.create_branch(connection, "d", "side")
        commit_to(connection, "side", train=numbers(2))
        main, side = f"{PARENT}/branches/main", f"{PARENT}/branches/side"
        service, catalog = history_stub(connection), stub(connection)
        creations: list[tuple[Callable[[Any], Any], Any, str]] = [
            (
                service.CreateBranch,
                history_pb2.CreateBranchRequest(parent=PARENT, branch_id="b", commit=main),
                "branch_id",
            ),
            (service.CreateTag, history_pb2.CreateTagRequest(parent=PARENT, tag_id="t", commit=main), "tag_id"),
            (
                catalog.CreateDatasetVersion,
                datasets_pb2.CreateDatasetVersionRequest(parent=PARENT, commit=side),
                "version",
            ),
            (catalog.CreateUpload, datasets_pb2.CreateUploadRequest(parent=PARENT, branch="side"), "branch"),
        ]
        for create, request, field in creations:
            request.request_id = str(uuid.uuid4())
            first = create(request)
            assert create(request) == first
            changed = type(request).FromString(request.SerializeToString())
            setattr(changed, field, "v9.0.0" if field == "version" else "main2")
            assert refused(create, changed).reason == "REQUEST_ID_REUSED"
            request.request_id = ""
            if field != "branch":
                assert refused(create, request).code is Code.ALREADY_EXISTS
        # A branch that has moved since is answered as it is.
        upload = catalog.CreateUpload(datasets_pb2.CreateUploadRequest(parent=PARENT, branch="b"))
        datasets.put(connection, upload.name, datasets.Tables({"train": numbers(3)}))
        commit = datasets_pb2.CommitUploadRequest(name=upload.name, request_id=str(uuid.uuid4()))
        answer = catalog.CommitUpload(commit)
        assert answer.created
        assert catalog.CommitUpload(commit) == answer

    await asyncio.to_thread(story)


async def test_what_is_said_about_a_dataset_changes_field_by_field(connection: Connection) -> None:
    """M-28: isVisible and tags."""

    def story() -> None:
        given = datasets_pb2.Dataset(display_name="D", key_columns=["id"], tags={"team": "vision"})
        created = stub(connection).CreateDataset(
            datasets_pb2.CreateDatasetRequest(parent="projects/default", dataset_id="d", dataset=given)
        )
        assert (created.display_name, list(created.key_columns), dict(created.tags)) == (
            "D",
            ["id"],
            {"team": "vision"},
        )

        def update(*paths: str, etag: str = "", **fields: object) -> datasets_pb2.Dataset:
            request = datasets_pb2.UpdateDatasetRequest(
                dataset=datasets_pb2.Dataset(name=PARENT, etag=etag, **fields)  # type: ignore[arg-type]
            )
            request.update_mask.paths.extend(paths)
            return stub(connection).UpdateDataset(request)

        hidden = update("hidden", "description", hidden=True, description="Text.", display_name="not meant")
        assert (hidden.hidden, hidden.description, hidden.display_name) == (True, "Text.", "D")
        assert hidden.etag != created.etag
        assert list(datasets.list_datasets(connection)) == []
        assert list(datasets.list_datasets(connection, show_hidden=True)) == [hidden]
        # Without a mask, what is set; with one, also what is emptied; with a star, everything.
        assert update(display_name="E").description == "Text."
        assert update("description").description == ""
        emptied = update("*", display_name="F")
        assert (emptied.display_name, emptied.hidden, list(emptied.key_columns), dict(emptied.tags)) == (
            "F",
            False,
            [],
            {},
        )
        assert refused(lambda: update("hidden", etag=created.etag)).reason == "ETAG_MISMATCH"
        assert update("hidden", etag=emptied.etag, hidden=True).hidden
        for paths in (["name"], ["latest_version"], ["nothing"], ["tags.team"], ["hidden", "uid"]):
            assert refused(update, *paths).reason == "INVALID_UPDATE_MASK", paths
        for columns in (["a", "a"], [""]):
            error = refused(update, "key_columns", key_columns=columns)
            assert error.reason == "INVALID_KEY_COLUMNS"
        request = datasets_pb2.UpdateDatasetRequest(dataset=datasets_pb2.Dataset(name=f"{PARENT}2", hidden=True))
        assert refused(lambda: stub(connection).UpdateDataset(request)).reason == "DATASET_NOT_FOUND"

    await asyncio.to_thread(story)


async def test_a_version_keeps_where_its_rows_come_from_and_what_is_said_about_them(connection: Connection) -> None:
    """M-18, R-33."""

    def story() -> None:
        raw = commit_to(connection, parent="projects/default/datasets/raw", train=numbers(0)).dataset_version.name
        dataflow = definitions_pb2.Dataflow(spec_json='{"steps": []}', inputs=[raw])
        provenance = definitions_pb2.DataProvenance(source="NIST", citation="LeCun", license="CC")
        statistics = definitions_pb2.DeclaredStatistics(image_size=[28, 28], num_classes=10)
        request = datasets_pb2.CommitUploadRequest(
            dataflow=dataflow, description="Text.", provenance=provenance, declared_statistics=statistics
        )
        made = commit_to(connection, train=numbers(1), request=request)
        version = made.dataset_version
        assert version.definition.dataflow == dataflow == made.commit.definition.dataflow
        assert (version.description, version.provenance) == ("Text.", provenance)
        assert version.declared_statistics == statistics
        assert datasets.get_version(connection, "d") == version
        # The same rows made in another way are another version; made in the same way they are not.
        assert not commit_to(connection, train=numbers(1), request=request).created
        assert commit_to(connection, train=numbers(1)).created
        changed = history.describe_version(connection, "d@v1.0.0", description="Other.")
        assert (changed.description, changed.provenance) == ("Other.", provenance)
        assert (changed.commit, changed.digest) == (version.commit, version.digest)
        assert changed.etag != version.etag
        wanted = datasets_pb2.UpdateDatasetVersionRequest(dataset_version=version)
        assert refused(lambda: stub(connection).UpdateDatasetVersion(wanted)).reason == "ETAG_MISMATCH"
        wanted.dataset_version.etag = ""
        wanted.update_mask.paths.append("digest")
        assert refused(lambda: stub(connection).UpdateDatasetVersion(wanted)).reason == "INVALID_UPDATE_MASK"

    await asyncio.to_thread(story)


@pytest.mark.parametrize("spec_json", ["", "{", "{} {}", "NaN", "[" * 100_000, "{'a': 1}", "\ufeff{}"])
async def test_a_transformation_that_is_no_json_is_refused(connection: Connection, spec_json: str) -> None:
    def story() -> None:
        request = datasets_pb2.CommitUploadRequest(dataflow=definitions_pb2.Dataflow(spec_json=spec_json))
        error = refused(commit_to, connection, train=numbers(1), request=request)
        assert error.reason == "INVALID_DATAFLOW"
        request.dataflow.spec_json = "{}"
        request.dataflow.inputs.append(f"{PARENT}/versions/v1.0.0")
        assert refused(commit_to, connection, train=numbers(1), request=request).reason == "DATASET_VERSION_NOT_FOUND"
        request.dataflow.inputs[0] = "https://example.com/rows.csv"
        assert refused(commit_to, connection, train=numbers(1), request=request).reason == "INVALID_DERIVATION"
        assert datasets.get(connection, "d").latest_version == ""

    await asyncio.to_thread(story)


async def test_a_version_that_was_given_out_is_never_given_again(connection: Connection) -> None:
    """R-34: overwriting is refused, and a timestamp is no version."""

    def story() -> None:
        commit_to(connection, train=numbers(1))
        history.create_branch(connection, "d", "side")
        commit_to(connection, "side", train=numbers(2))

        def name_it(version: str) -> datasets_pb2.DatasetVersion:
            return history.create_version(connection, "d", at="side", version=version)

        for version in ("v1.0.0", "v0.9.9"):
            assert refused(name_it, version).reason == "VERSION_NOT_GREATER"
        for version in (
            "2024-01-01",
            "20240101T000000Z",
            "2",
            "v2",
            "v2.0",
            "v2.0.0-rc1",
            "v02.0.0",
            "latest",
            "v1.0.x",
        ):
            assert refused(name_it, version).reason == "INVALID_VERSION", version
        assert last(name_it("v3.0.0").name) == "v3.0.0"
        assert refused(lambda: name_it("v4.0.0")).reason == "COMMIT_HAS_VERSION"
        assert last(commit_to(connection, train=numbers(3)).dataset_version.name) == "v3.1.0"

    await asyncio.to_thread(story)


async def test_a_version_is_deprecated_archived_and_put_back(connection: Connection) -> None:
    """M-20, M-21."""

    def story() -> None:
        commit_to(connection, train=numbers(1))
        state = datasets_pb2.DatasetVersion.State
        deprecated = history.deprecate(connection, "d", "use v2")
        assert (deprecated.state, deprecated.state_message) == (state.STATE_DEPRECATED, "use v2")
        assert refused(lambda: history.deprecate(connection, "d", "")).reason == "VERSION_TRANSITION_NOT_ALLOWED"
        archived = history.archive(connection, "d", "wrong labels")
        assert (archived.state, archived.state_message) == (state.STATE_ARCHIVED, "wrong labels")
        assert refused(lambda: history.deprecate(connection, "d", "")).reason == "VERSION_TRANSITION_NOT_ALLOWED"
        request = datasets_pb2.ReactivateDatasetVersionRequest(name=archived.name, etag=deprecated.etag)
        assert refused(lambda: stub(connection).ReactivateDatasetVersion(request)).reason == "ETAG_MISMATCH"
        active = history.reactivate(connection, "d")
        assert (active.state, active.state_message) == (state.STATE_ACTIVE, "")
        assert refused(lambda: history.reactivate(connection, "d")).reason == "VERSION_TRANSITION_NOT_ALLOWED"
        datasets.verify(connection, active.name)

    await asyncio.to_thread(story)


async def test_an_archived_version_is_looked_at_and_not_used(connection: Connection) -> None:
    """M-19."""

    def story() -> None:
        made = commit_to(connection, train=numbers(1), test=numbers(2))
        path = flight.FlightDescriptor.for_path(*made.dataset_version.name.split("/"), "train")
        options = connection.flight_options()
        ticket = connection.flight().get_flight_info(path, options).endpoints[0].ticket
        assert connection.flight().do_get(ticket, options).read_all() == numbers(1)
        pending = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent=PARENT, inherit=True))
        datasets.put(connection, pending.name, datasets.Tables({"train": numbers(3)}))
        history.archive(connection, "d", "wrong labels")
        name, commit = made.dataset_version.name, made.commit.name

        def read(call: Callable[[], object]) -> None:
            with flight_errors():
                call()

        attempts: list[Callable[[], object]] = [
            lambda: datasets.reader(connection, name, "train"),
            lambda: read(lambda: connection.flight().get_flight_info(path, options)),
            # Also by a ticket from before.
            lambda: read(lambda: connection.flight().do_get(ticket, options).read_all()),
            lambda: commit_to(connection, inherit=True, train=numbers(3)),
            lambda: stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=pending.name)),
            lambda: history.create_branch(connection, "d", "side", at="v1.0.0"),
            lambda: history.create_tag(connection, "d", "best", at=commit),
            lambda: history.reset_branch(connection, history.get_branch(connection, "d", "main"), "v1.0.0"),
            lambda: history.create_version(connection, "d", at="main", version="v2.0.0"),
        ]
        for number, attempt in enumerate(attempts):
            error = refused(attempt)
            assert error.reason == "DATASET_VERSION_ARCHIVED", number
            assert error.metadata["why"] == "wrong labels"
        assert datasets.get_version(connection, name).state_message == "wrong labels"
        assert history.get_commit(connection, commit).name == commit
        assert [each.name for each in history.log(connection, "d")] == [commit]
        # What takes nothing from it goes on from there.
        fixed = commit_to(connection, train=numbers(5))
        assert last(fixed.dataset_version.name) == "v1.1.0"
        assert list(fixed.commit.parents) == [commit]

    await asyncio.to_thread(story)


async def test_commits_are_paged_and_tokens_belong_to_their_list(connection: Connection) -> None:
    def story() -> None:
        made = [commit_to(connection, train=numbers(number)).commit.name for number in range(7)]
        request = history_pb2.ListCommitsRequest(parent=PARENT, page_size=3)
        pages, tokens = [], []
        while True:
            page = history_stub(connection).ListCommits(request)
            pages.append([each.name for each in page.commits])
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
            tokens.append(page.next_page_token)
        assert [len(page) for page in pages] == [3, 3, 1]
        assert [name for page in pages for name in page] == made[::-1]
        bad = [
            (f"{PARENT}/versions/v1.0.0", tokens[0]),
            *(("", token) for token in (tokens[0][:-4], *BAD_PAGE_TOKENS.values())),
        ]
        for start, token in bad:
            forged = history_pb2.ListCommitsRequest(parent=PARENT, start=start, page_token=token)
            error = refused(history_stub(connection).ListCommits, forged)
            assert error.reason in ("INVALID_PAGE_TOKEN", "INVALID_FIELDS"), token
        elsewhere = history_pb2.ListCommitsRequest(parent=f"{PARENT}2", start=f"{PARENT}/branches/main")
        assert refused(lambda: history_stub(connection).ListCommits(elsewhere)).reason == "INVALID_REFERENCE"
        empty = history_pb2.ListCommitsRequest(parent=f"{PARENT}2")
        assert refused(lambda: history_stub(connection).ListCommits(empty)).reason == "DATASET_NOT_FOUND"

    await asyncio.to_thread(story)


async def test_names_of_branches_and_tags_are_names(connection: Connection) -> None:
    """Promise 13: what a user types never becomes a path, and is not mistaken for anything else."""

    def story() -> None:
        commit_to(connection, train=numbers(1))
        service = history_stub(connection)
        main = f"{PARENT}/branches/main"
        for name in BAD_NAMES.values():
            for call in (
                lambda name=name: service.CreateBranch(
                    history_pb2.CreateBranchRequest(parent=PARENT, branch_id=name, commit=main)
                ),
                lambda name=name: service.CreateTag(
                    history_pb2.CreateTagRequest(parent=PARENT, tag_id=name, commit=main)
                ),
                lambda name=name: service.GetCommit(history_pb2.GetCommitRequest(name=f"{PARENT}/tags/{name}")),
            ):
                assert refused(call).reason in ("INVALID_NAME", "INVALID_FIELDS", "INVALID_REFERENCE"), name
            if name:
                upload = datasets_pb2.CreateUploadRequest(parent=PARENT, branch=name)
                assert refused(stub(connection).CreateUpload, upload).reason in (
                    "INVALID_NAME",
                    "INVALID_FIELDS",
                )
        for name in ("deadbeef", "DEADBEEF", "0" * 64):
            assert refused(history.create_branch, connection, "d", name).reason == "NAME_LOOKS_LIKE_COMMIT"
            assert refused(history.create_tag, connection, "d", name).reason == "NAME_LOOKS_LIKE_COMMIT"
        for name in ("", "d", PARENT, f"{PARENT}/uploads/a", f"{PARENT}/commits/xyz", f"{PARENT}/commits/{'f' * 65}"):
            assert refused(service.GetCommit, history_pb2.GetCommitRequest(name=name)).reason in (
                "INVALID_REFERENCE",
                "INVALID_COMMIT",
                "INVALID_NAME",
            ), name
        assert [last(each.name) for each in history.list_branches(connection, "d")] == ["main"]
        assert list(history.list_tags(connection, "d")) == []
        with pytest.raises(NotFound):
            history.get_commit(connection, "nothing@main")

    await asyncio.to_thread(story)


async def test_a_reader_changes_no_history(service: Service, connection_to: ConnectTo) -> None:
    writer, reader = connection_to(service), connection_to(service, Role.READER)

    def story() -> None:
        commit_to(writer, train=numbers(1))
        main = history.get_branch(reader, "d", "main")
        for attempt in (
            lambda: history.create_branch(reader, "d", "side"),
            lambda: history.create_tag(reader, "d", "best"),
            lambda: history.reset_branch(reader, main, "main"),
            lambda: history.delete_branch(reader, main),
            lambda: history.delete_tag(reader, "d", "best"),
            lambda: history.create_version(reader, "d", at="main"),
            lambda: history.archive(reader, "d", ""),
            lambda: history.describe_version(reader, "d", description=""),
        ):
            assert refused(attempt).reason == "PERMISSION_DENIED"
        assert [each.name for each in history.log(reader, "d")] == [main.commit]

    await asyncio.to_thread(story)
