"""A process that is killed at a certain step of its work with stores."""

import inspect
from typing import Any


class Killed(BaseException):
    """The process is not there any more; nothing that it would have done is done."""


class Dying:
    """Passes calls on to what is behind it, until as many were made as it lives for.

    A step is the moment before a call and the moment after it: what a call does is done when the process dies then.
    """

    def __init__(self, behind: Any, life: "Life") -> None:
        self._behind = behind
        self._life = life

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._behind, name)
        if not callable(attribute) or name in ("write", "discard"):  # the system closes files of the dead
            return attribute

        async def call(*arguments: Any, **options: Any) -> Any:
            self._life.step()
            result = await attribute(*arguments, **options)
            self._life.step()
            return result

        def call_now(*arguments: Any, **options: Any) -> Any:
            self._life.step()
            result = attribute(*arguments, **options)
            if name == "writer":  # it holds a file, which nobody would close
                return Dying(result, self._life)
            self._life.step()
            return result

        return call if inspect.iscoroutinefunction(attribute) else call_now


class Life:
    """How many steps are left; the process that begins with None does not die."""

    def __init__(self, steps: int | None = None) -> None:
        self._left = steps
        self.taken = 0

    def step(self) -> None:
        """Take one, or die."""
        self.taken += 1
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Killed
