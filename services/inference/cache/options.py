"""What a deployment says about keeping answers."""

import dataclasses

DEFAULT_MAX_BYTES = 64 * 2**20
DEFAULT_MAX_ENTRIES = 65_536


@dataclasses.dataclass(frozen=True, slots=True)
class Caching:
    """Whether answers are kept, and the bounds for those of one version."""

    enabled: bool = False
    max_bytes: int = DEFAULT_MAX_BYTES
    max_entries: int = DEFAULT_MAX_ENTRIES
    ttl_s: float = 0.0
    """How long an answer is kept; 0: for as long as there is room."""


NOTHING_KEPT = Caching()
