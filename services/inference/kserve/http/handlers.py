"""What is answered over HTTP, by the names in the routes: convert, call, convert."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.auth import current_principal
from chassis.clock import Clock
from services.inference.errors import InvalidRequest, NotSupported
from services.inference.kserve.about import About
from services.inference.kserve.http import body
from services.inference.kserve.http.answers import answer_to_body, message_to_json
from services.inference.kserve.http.asked import asked_from_body
from services.inference.kserve.http.documents import json_object, parameters_of
from services.inference.kserve.refusals import CUDA, SETTINGS
from services.inference.kserve.repository import Repository
from services.inference.kserve.shared_memory import Regions
from services.inference.predictor import Predictor
from services.inference.question import Question

_JSON, _BINARY = b"application/json", b"application/octet-stream"
_INDEX, _CHANGE = frozenset({"ready"}), frozenset({"parameters"})
_REGION = frozenset({"key", "offset", "byte_size"})


@dataclasses.dataclass(frozen=True, slots=True)
class Asking:
    """A request: what its path stands for, its headers, and its body."""

    named: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    content: bytes

    @property
    def model(self) -> tuple[str, str]:
        """The model and the version that the path names; empty for none."""
        return self.named.get("model", ""), self.named.get("version", "")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. The parts of the body come one after the other."""

    parts: Sequence[bytes]
    status: int = 200
    kind: bytes = _JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


class Handlers:
    """See ``routes``."""

    def __init__(
        self, predictor: Predictor, about: About, repository: Repository, regions: Regions, clock: Clock
    ) -> None:
        self._predictor = predictor
        self._about = about
        self._repository = repository
        self._regions = regions
        self._clock = clock

    async def infer(self, asking: Asking) -> Answer:
        """A prediction; its request id is in its parameters and in a header."""
        arrived = self._clock.monotonic()
        caller = current_principal().subject
        asked = asked_from_body(asking.content, asking.headers, self._regions, caller)
        options = asked.options
        prediction = await self._predictor.predict(
            Question(
                *asking.model,
                asked.inputs,
                [*asked.wanted],
                caller,
                asked.client_request_id,
                arrived,
                options.timeout_s,
                options.routing_key,
                options.priority,
                options.return_features,
            )
        )
        keep = functools.partial(self._regions.write, caller)
        parts, binary = answer_to_body(prediction, asked, keep)
        headers = [(b"headwater-request-id", prediction.request_id.encode())]
        if binary:
            headers.append((b"inference-header-content-length", b"%d" % len(parts[0])))
        if accepted := asking.headers.get(b"accept-encoding"):
            parts, encoding = await body.packed(parts, accepted.decode("latin-1"))
            headers.append((b"vary", b"accept-encoding"))
            if encoding:
                headers.append((b"content-encoding", encoding.encode()))
        return Answer(parts, 200, _BINARY if binary else _JSON, headers)

    async def live(self, _asking: Asking) -> Answer:
        """That the process answers."""
        return _json({"live": True})

    async def ready(self, _asking: Asking) -> Answer:
        """Whether predictions can be made."""
        ready = self._about.server_ready()
        return _json({"ready": ready}, 200 if ready else 400)

    async def model_ready(self, asking: Asking) -> Answer:
        """Whether the model answers. The protocol wants a status of 4xx where it does not."""
        ready = self._about.model_ready(*asking.model)
        return _json({"name": asking.model[0], "ready": ready}, 200 if ready else 400)

    async def server(self, _asking: Asking) -> Answer:
        """Who answers."""
        return _json(message_to_json(self._about.server()))

    async def model(self, asking: Asking) -> Answer:
        """What goes into the model and what comes out."""
        return _json(message_to_json(self._about.model(*asking.model)))

    async def config(self, asking: Asking) -> Answer:
        """The same in Triton's notation."""
        return _json(message_to_json(self._about.config(*asking.model).config))

    async def statistics(self, asking: Asking) -> Answer:
        """What the model, or each of them, has done."""
        return _json(message_to_json(self._about.statistics(*asking.model)))

    async def index(self, asking: Asking) -> Answer:
        """Every deployment, as a list."""
        ready = json_object(asking.content, _INDEX).get("ready", False)
        if not isinstance(ready, bool):
            raise InvalidRequest("ready must be true or false.")
        return _json(message_to_json(self._about.index("", ready_only=ready))["models"])

    async def load(self, asking: Asking) -> Answer:
        """See Repository."""
        await self._repository.load(asking.model[0], _change_parameters(asking))
        return _json({})

    async def unload(self, asking: Asking) -> Answer:
        """See Repository."""
        await self._repository.unload(asking.model[0], _change_parameters(asking))
        return _json({})

    async def system_status(self, asking: Asking) -> Answer:
        """The caller's regions, or the one that is named, as a list."""
        regions = self._regions.registered(current_principal().subject, asking.named.get("region", ""))
        return _json(
            [
                {"name": each.name, "key": each.key, "offset": each.offset, "byte_size": each.size_bytes}
                for each in regions
            ]
        )

    async def system_register(self, asking: Asking) -> Answer:
        """Registers a region for the caller."""
        self._regions.require_enabled()
        wanted = json_object(asking.content, _REGION)
        key, offset, size = wanted.get("key"), wanted.get("offset", 0), wanted.get("byte_size")
        if not isinstance(key, str) or type(offset) is not int or type(size) is not int:
            raise InvalidRequest("A region needs key, a text, and byte_size and offset, whole numbers.")
        self._regions.register(current_principal().subject, asking.named["region"], key, offset, size)
        return _json({})

    async def system_unregister(self, asking: Asking) -> Answer:
        """Forgets a region of the caller, or all of them."""
        self._regions.unregister(current_principal().subject, asking.named.get("region", ""))
        return _json({})

    async def cuda_status(self, asking: Asking) -> Answer:
        """There are none. Stock programs ask before they begin, so this fails only where shared memory is off."""
        self._no_cuda_regions(asking)
        return _json([])

    async def cuda_unregister(self, asking: Asking) -> Answer:
        """There are none to forget; see cuda_status."""
        self._no_cuda_regions(asking)
        return _json({})

    async def cuda_register(self, _asking: Asking) -> Answer:
        """Refused."""
        raise NotSupported(CUDA)

    async def settings(self, _asking: Asking) -> Answer:
        """Refused."""
        raise NotSupported(SETTINGS)

    def _no_cuda_regions(self, asking: Asking) -> None:
        if "region" in asking.named or not self._regions.enabled:
            raise NotSupported(CUDA)


def _change_parameters(asking: Asking) -> Mapping[str, Any]:
    return parameters_of("The request", json_object(asking.content, _CHANGE))


def _json(document: Any, status: int = 200) -> Answer:
    return Answer([json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()], status)
