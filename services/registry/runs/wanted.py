"""Which runs a caller wants to see."""

import dataclasses

from headwater.names import ExperimentName, RunName
from services.registry.runs.model import Lifecycle


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs, and in which order; see docs/reference/search.md.

    Attributes:
        experiments: only those of these experiments; of all when empty.
        parent_run: only the children of this run.
        links: with what they read and made, in brief.
        lifecycle: only those in use, or only those archived; None means all.
    """

    filter: str = ""
    order_by: str = ""
    experiments: tuple[ExperimentName, ...] = ()
    parent_run: RunName | None = None
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE
    links: bool = False
