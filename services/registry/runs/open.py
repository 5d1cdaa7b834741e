"""Whether a run takes what is measured."""

from headwater.names import RunName
from services.registry.runs.errors import RunArchived, RunFinished
from services.registry.runs.model import OPEN, Lifecycle, RunState


def check_open(run: RunName, state: RunState, lifecycle: Lifecycle) -> None:
    """Go on if the run takes metrics, parameters and objects.

    Raises:
        RunArchived, RunFinished
    """
    if lifecycle is Lifecycle.ARCHIVED:
        raise RunArchived(run=run)
    if state not in OPEN:
        raise RunFinished(run=run, state=state.name)
