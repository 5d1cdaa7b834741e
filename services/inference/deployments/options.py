"""What can be said of a deployment beside its name, its model and which version it serves.

Every part is a frozen value in the package of what it configures, and has a default. A new part is a field here, a
line in ``convert.PARTS`` and a field of the same name in the proto's Deployment; the stores keep it without a change.
"""

import dataclasses

from services.inference.batching.options import Batching
from services.inference.cache.options import Caching
from services.inference.drift.options import Drift
from services.inference.engines.options import EngineOptions
from services.inference.guard.options import Guarding
from services.inference.preparing.options import Preparing
from services.inference.records.recording import Recording
from services.inference.traffic.options import Routing


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """All parts. The names of the fields are those of the proto, and of update masks."""

    batching: Batching = dataclasses.field(default_factory=Batching)
    engine: EngineOptions = dataclasses.field(default_factory=EngineOptions)
    preparing: Preparing = dataclasses.field(default_factory=Preparing)
    routing: Routing = dataclasses.field(default_factory=Routing)
    guard: Guarding = dataclasses.field(default_factory=Guarding)
    recording: Recording = dataclasses.field(default_factory=Recording)
    drift: Drift = dataclasses.field(default_factory=Drift)
    cache: Caching = dataclasses.field(default_factory=Caching)
    unloaded: bool = False
    """Whether it is paused: nothing is loaded for it and nothing answers, until this is taken back."""
