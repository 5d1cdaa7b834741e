"""The inference service with neither records nor counters, to measure what they cost: nobody can serve with it.

Runs in the environment of the repository: `python -m tests.bench.serving.programs.unrecorded`.
"""

from chassis import run
from services.inference.__main__ import build
from services.inference.deployments.loaded import RequestCounts
from services.inference.records.model import Answered
from services.inference.records.recorder import Recorder
from services.inference.settings import Settings
from services.inference.wiring import records


class _Silent(Recorder):
    """Keeps nothing."""

    def admit(self) -> None:
        """Always."""

    def add(self, answered: Answered) -> None:
        """Forgotten."""

    def add_failure(self, answered: Answered) -> bool:
        """Forgotten."""
        return False


def _count_nothing(_counts: RequestCounts, _seconds: float, _now_ms: int) -> None: ...


if __name__ == "__main__":
    records.Recorder = _Silent  # type: ignore[attr-defined]
    RequestCounts.succeed = _count_nothing  # type: ignore[method-assign, assignment]
    run(build, Settings)
