"""Cache keys: what a step result is a function of, and nothing else (N-05, X-02)."""

import hashlib
from collections.abc import Sequence

from headwater.transforms.model import Step, steps_digest


def prefix_key(chunk_digest: str, steps: Sequence[Step], engine_version: str) -> str:
    """The key of the result of ``steps`` on the chunk: SHA-256 over chunk digest, canonical steps and engine version.

    Names, ids and cache flags of steps are not in it: a renamed pipeline finds its results, and a pipeline that differs
    only in its last step finds those of the steps before.
    """
    parts = ("headwater preprocessing cache 1", chunk_digest, steps_digest(steps), engine_version)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
