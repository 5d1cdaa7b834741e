"""The paths of the HTTP front."""

import pytest

from chassis.auth import Role
from services.inference.kserve.http import routes
from services.inference.kserve.http.errors import MethodNotAllowed, NoSuchPath
from services.inference.kserve.http.handlers import Handlers


def test_every_route_has_a_handler_and_is_found() -> None:
    for route in routes.ROUTES:
        assert callable(getattr(Handlers, route.handler))
        found, named = routes.find(route.method, route.path.replace("{", "").replace("}", ""))
        assert found == route
        assert all(f"{{{name}}}" in route.path for name in named)


@pytest.mark.parametrize(
    ("path", "handler", "named"),
    [
        ("/v2/models/stats", "statistics", {}),
        ("/v2/models/a/stats", "statistics", {"model": "a"}),
        ("/v2/models/a/versions/v1.2.3/stats", "statistics", {"model": "a", "version": "v1.2.3"}),
        ("/v2/models/versions", "model", {"model": "versions"}),
        ("/v2/systemsharedmemory/region/r/status", "system_status", {"region": "r"}),
    ],
)
def test_words_go_before_names(path: str, handler: str, named: dict[str, str]) -> None:
    route, found = routes.find("GET", path)
    assert (route.handler, dict(found)) == (handler, named)


@pytest.mark.parametrize("path", ["", "/", "/v2/", "/v2/models//infer", "/v2/models/a/b/c/d/e/f", "//v2", "v2"])
def test_there_is_nothing_elsewhere(path: str) -> None:
    with pytest.raises(NoSuchPath):
        routes.find("POST", path)


def test_another_method_is_told_the_right_one() -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        routes.find("GET", "/v2/repository/models/a/load")
    assert refused.value.metadata == {"allowed": "POST"}


def test_what_changes_the_server_is_for_administrators() -> None:
    for route in routes.ROUTES:
        changes = any(word in route.path for word in ("load", "sharedmemory", "logging", "trace"))
        assert route.role is (Role.ADMIN if changes else Role.READER), route.path
