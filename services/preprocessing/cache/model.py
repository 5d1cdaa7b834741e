"""What the cache tells of itself."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class CacheStats:
    """Sizes in bytes, counts since the service started; a hit counts whichever tier had it."""

    size_bytes: int
    max_size_bytes: int
    object_count: int
    hit_count: int
    miss_count: int
    eviction_count: int
