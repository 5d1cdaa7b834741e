"""Views over a real service: made, read through, refused."""

import asyncio

import pyarrow as pa
import pytest
import pytest_asyncio

from chassis.auth import Role
from chassis.service import Service
from chassis.testing.bad_inputs import BAD_NAMES
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import views_pb2
from headwater.datasets import history, views
from headwater.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from tests.integration.dataset.conftest import ConnectTo

VERSION = "projects/default/datasets/d/versions/v1.0.0"
TABLE = pa.table({"label": [3, 1, 3, 2], "text": ["a", "b", "c", None]})


@pytest_asyncio.fixture
async def pushed(connection: Connection) -> Connection:
    tables = datasets.Tables({"train": TABLE, "test": TABLE.slice(0, 2)})
    await asyncio.to_thread(datasets.push, connection, "d", tables)
    return connection


async def test_a_view_is_made_read_through_listed_and_deleted(pushed: Connection) -> None:
    """M-27."""

    def story() -> None:
        made = views.create(pushed, "d@v1.0.0", "threes", "label = 3", "the threes")
        assert (made.name, made.created_by) == (f"{VERSION}/views/threes", "tester")
        assert views.get(pushed, "d", "threes") == made
        read = datasets.to_arrow(pushed, "d", "train", view="threes")
        assert read.column("text").to_pylist() == ["a", "c"]
        views.create(pushed, "d", "ones", "label = 1")
        assert [view.name.rpartition("/")[2] for view in views.list_views(pushed, "d")] == ["ones", "threes"]
        views.delete(pushed, "d", "threes")
        with pytest.raises(NotFound, match="no such view"):
            views.get(pushed, "d", "threes")
        with pytest.raises(NotFound, match="no such view"):
            datasets.to_arrow(pushed, "d", "train", view="threes")

    await asyncio.to_thread(story)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("weight > 3", "INVALID_FILTER"),
        ("label", "INVALID_FILTER"),
        ("label = 3; DROP TABLE views", "INVALID_FILTER"),
        ("label = (SELECT 1)", "INVALID_FILTER"),
        ("", "INVALID_FIELDS"),
        ("label = 3" + " " * 20_000, "INVALID_FIELDS"),
    ],
)
async def test_a_filter_that_does_not_fit_the_columns_is_refused(
    pushed: Connection, condition: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await asyncio.to_thread(views.create, pushed, "d", "x", condition)
    assert refused.value.reason == reason
    assert list(await asyncio.to_thread(lambda: list(views.list_views(pushed, "d")))) == []


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
async def test_a_name_that_is_no_name_is_refused(pushed: Connection, name: str) -> None:
    """Promise 13."""
    with pytest.raises(InvalidArgument):
        await asyncio.to_thread(views.create, pushed, "d", name, "label = 3")


async def test_a_taken_name_is_refused_in_whatever_case_and_a_retry_is_answered(pushed: Connection) -> None:
    """Promise 4."""

    def create(name: str, condition: str, request_id: str) -> views_pb2.DatasetView:
        view = views_pb2.DatasetView(filter=condition)
        request = views_pb2.CreateViewRequest(parent=VERSION, view_id=name, view=view, request_id=request_id)
        return views.stub(pushed).CreateView(request)

    def story() -> None:
        made = create("threes", "label = 3", "1")
        assert create("threes", "label = 3", "1") == made
        with pytest.raises(AlreadyExists) as reused:
            create("threes", "label = 4", "1")
        assert reused.value.reason == "REQUEST_ID_REUSED"
        with pytest.raises(AlreadyExists) as taken:
            create("Threes", "label = 4", "2")
        assert taken.value.reason == "VIEW_ALREADY_EXISTS"

    await asyncio.to_thread(story)


async def test_what_is_not_the_callers_to_say_is_refused(pushed: Connection) -> None:
    request = views_pb2.CreateViewRequest(
        parent=VERSION, view_id="x", view=views_pb2.DatasetView(filter="label = 3", created_by="root")
    )
    with pytest.raises(InvalidArgument, match="only filter and description"):
        await asyncio.to_thread(views.stub(pushed).CreateView, request)


async def test_an_archived_version_takes_no_view_and_keeps_those_it_has(pushed: Connection) -> None:
    def story() -> None:
        views.create(pushed, "d", "threes", "label = 3")
        history.archive(pushed, "d@v1.0.0", "wrong labels")
        with pytest.raises(FailedPrecondition) as refused:
            views.create(pushed, "d", "ones", "label = 1")
        assert refused.value.reason == "DATASET_VERSION_ARCHIVED"
        assert views.get(pushed, "d", "threes").filter == "label = 3"

    await asyncio.to_thread(story)


async def test_views_are_listed_in_pages(pushed: Connection) -> None:
    def story() -> None:
        for number in range(5):
            views.create(pushed, "d", f"v{number}", f"label = {number}")
        request = views_pb2.ListViewsRequest(parent=VERSION, page_size=2)
        pages: list[list[str]] = []
        while not pages or request.page_token:
            page = views.stub(pushed).ListViews(request)
            pages.append([view.name.rpartition("/")[2] for view in page.views])
            request.page_token = page.next_page_token
        assert pages == [["v0", "v1"], ["v2", "v3"], ["v4"]]
        with pytest.raises(InvalidArgument):
            views.stub(pushed).ListViews(views_pb2.ListViewsRequest(parent=VERSION, page_token="garbage"))

    await asyncio.to_thread(story)


async def test_a_reader_may_look_and_not_make(service: Service, pushed: Connection, connection_to: ConnectTo) -> None:
    reader = connection_to(service, Role.READER)
    await asyncio.to_thread(views.create, pushed, "d", "threes", "label = 3")
    assert (await asyncio.to_thread(views.get, reader, "d", "threes")).filter == "label = 3"
    for refused in (
        lambda: views.create(reader, "d", "x", "label = 3"),
        lambda: views.delete(reader, "d", "threes"),
    ):
        with pytest.raises(PermissionDenied):
            await asyncio.to_thread(refused)
