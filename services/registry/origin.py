"""Where a change comes from, and the promise that a retry of it is safe (promise 4)."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Who asks for a change and by which request.

    ``request_id`` is empty when the caller gave none; ``body_digest`` tells a retry from another request that uses the
    same id.
    """

    actor: str
    method: str
    request_id: str = ""
    body_digest: str = ""


class Answers(Protocol):
    """The part of a transaction that remembers what was answered."""

    async def first_answer(self, origin: Origin) -> str | None:
        """What the first request with this id was answered, or None if this is the first.

        Raises:
            RequestIdReused: the first request had another body.
        """

    async def remember(self, origin: Origin, answer: str) -> None:
        """Note the answer; takes effect with the transaction."""

    async def forget_old_answers(self) -> None:
        """Remove answers past their time: a week after the first request."""


async def once(answers: Answers, origin: Origin, work: Callable[[], Awaitable[str]]) -> str:
    """Do ``work`` unless this request was answered before; return its answer (a resource name), now or then."""
    known = await answers.first_answer(origin)
    if known is not None:
        return known
    answer = await work()
    await answers.remember(origin, answer)
    return answer
