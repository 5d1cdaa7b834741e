"""The paths of the protocol over HTTP, and who may ask for what.

https://github.com/kserve/open-inference-protocol; for what Triton adds to it, what tritonclient.http asks for.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from chassis.auth import Role
from services.inference.kserve.http.errors import MethodNotAllowed, NoSuchPath


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One path: what Handlers has for it, and who may ask. A part in braces stands for any text."""

    method: str
    path: str
    handler: str
    role: Role = Role.READER


_MODEL = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
_REGIONS = ("/v2/{kind}sharedmemory", "/v2/{kind}sharedmemory/region/{region}")

ROUTES: Sequence[Route] = (
    *(Route("POST", f"{model}/infer", "infer") for model in _MODEL),
    Route("GET", "/v2", "server"),
    Route("GET", "/v2/health/live", "live"),
    Route("GET", "/v2/health/ready", "ready"),
    Route("GET", "/v2/models/stats", "statistics"),
    *(Route("GET", model, "model") for model in _MODEL),
    *(Route("GET", f"{model}/ready", "model_ready") for model in _MODEL),
    *(Route("GET", f"{model}/config", "config") for model in _MODEL),
    *(Route("GET", f"{model}/stats", "statistics") for model in _MODEL),
    Route("POST", "/v2/repository/index", "index"),
    Route("POST", "/v2/repository/models/{model}/load", "load", Role.ADMIN),
    Route("POST", "/v2/repository/models/{model}/unload", "unload", Role.ADMIN),
    *(
        Route(method, path.replace("{kind}", kind) + f"/{verb}", f"{kind}_{verb}", Role.ADMIN)
        for kind in ("system", "cuda")
        for path in _REGIONS
        for method, verb in (("GET", "status"), ("POST", "unregister"), ("POST", "register"))
        if verb != "register" or "{region}" in path
    ),
    *(
        Route(method, path, "settings", Role.ADMIN)
        for path in ("/v2/logging", "/v2/trace/setting", "/v2/models/{model}/trace/setting")
        for method in ("GET", "POST")
    ),
)

_BY_LENGTH: dict[int, list[tuple[Sequence[str], Route]]] = {}
for _route in ROUTES:
    _parts = _route.path.split("/")
    _BY_LENGTH.setdefault(len(_parts), []).append((_parts, _route))


def find(method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """What is at ``path``, and what its parts in braces stand for there. Words go before braces.

    Raises:
        NoSuchPath, MethodNotAllowed
    """
    asked = path.split("/")
    allowed = set()
    for parts, route in _BY_LENGTH.get(len(asked), ()):
        if all(part == given or (part[:1] == "{" and given) for part, given in zip(parts, asked, strict=True)):
            if route.method == method:
                return route, {part[1:-1]: given for part, given in zip(parts, asked, strict=True) if part[:1] == "{"}
            allowed.add(route.method)
    if allowed:
        raise MethodNotAllowed(allowed=", ".join(sorted(allowed)))
    raise NoSuchPath(path=path[:256])
