"""What was learned of a version's first requests, so that a restart does not learn it anew of later ones."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from services.inference.drift.reference import Reference

MAX_LEARNED = 32
"""Of each deployment; what was learned longest ago makes room."""


@dataclasses.dataclass(frozen=True, slots=True)
class Learned:
    """Whose it is: the deployment's uid, the model version, and of how many rows it was learned.

    ``model_version`` is its resource name by the uid of its model, so that a rename hides nothing. It is not the digest
    of its files: two versions of the same files behind other pipelines answer otherwise, and what the one was asked at
    first says nothing of the other.
    """

    uid: str
    model_version: str
    first_rows: int


class ReferenceStore(Protocol):
    """Where references are kept. tests/contract/inference/test_reference_store.py holds both stores to it."""

    async def get(self, of: Learned) -> Mapping[str, Reference]:
        """What was kept, by feature."""

    async def keep(self, of: Learned, references: Mapping[str, Reference]) -> Mapping[str, Reference]:
        """Keep these, unless others were kept of the same features before; returns what is kept of all features.

        Of each deployment the last ``MAX_LEARNED`` are kept.
        """


class MemoryReferences(ReferenceStore):
    """In memory; same contract as postgres.py."""

    def __init__(self) -> None:
        self._kept: dict[Learned, dict[str, Reference]] = {}

    async def get(self, of: Learned) -> Mapping[str, Reference]:
        """See ReferenceStore."""
        return dict(self._kept.get(of, {}))

    async def keep(self, of: Learned, references: Mapping[str, Reference]) -> Mapping[str, Reference]:
        """See ReferenceStore."""
        kept = self._kept.setdefault(of, {})
        for feature, reference in references.items():
            kept.setdefault(feature, reference)
        for oldest in [each for each in self._kept if each.uid == of.uid][:-MAX_LEARNED]:
            del self._kept[oldest]
        return dict(kept)
