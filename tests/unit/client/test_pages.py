"""Pages of a list."""

from headwater.pages import pages
from headwater.registry.v1.projects_pb2 import ListProjectsRequest, ListProjectsResponse


def test_each_page_is_asked_for_when_the_one_before_was_read() -> None:
    asked = []

    def call(request: ListProjectsRequest) -> ListProjectsResponse:
        asked.append(request.page_token)
        return ListProjectsResponse(next_page_token={"": "second", "second": "third"}.get(request.page_token, ""))

    reading = pages(call, ListProjectsRequest())
    assert next(reading).next_page_token == "second"
    assert asked == [""]
    assert [page.next_page_token for page in reading] == ["third", ""]
    assert asked == ["", "second", "third"]
