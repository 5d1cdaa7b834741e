"""Where records are kept. tests/contract/inference/test_record_store.py holds both stores to it."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import InferenceRecordName
from services.inference.records.model import Record


class RecordStore(Protocol):
    """Records of answered requests, in their order of arrival."""

    async def append(self, records: Sequence[Record]) -> None:
        """Keep these records; all of them or none. One that is there already stays as it is, so that it is safe to try
        again.

        Raises:
            Unavailable: the store is away.
        """

    async def get(self, name: InferenceRecordName) -> Record:
        """The record, or raise RecordNotFound."""

    async def page(self, project: str, deployment: str, before: int | None, limit: int) -> Sequence[Record]:
        """Records newest first, those with a ``sequence`` below ``before``; of all deployments if none is named."""
