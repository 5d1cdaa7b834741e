"""What a pipeline is."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step, with every option filled in."""

    id: str
    step_type: str
    config: Mapping[str, Any]
    cache: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """A pipeline as its author wrote it, checked, with every default filled in."""

    pipeline_id: str
    display_name: str
    version: str
    description: str
    steps: tuple[Step, ...]
    metadata: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of what the pipeline does: step types and options in order, not what anything is called."""
        return steps_digest(self.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a document: where, and what would be right."""

    path: str
    message: str


def steps_digest(steps: Sequence[Step]) -> str:
    """``sha256:`` over the canonical JSON (RFC 8785 for the values that steps can hold) of types and options."""
    canonical = json.dumps(
        [{"config": dict(step.config), "step_type": step.step_type} for step in steps],
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
