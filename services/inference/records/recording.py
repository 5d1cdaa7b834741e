"""What a deployment says about recording the tensors of its requests, and what must never be recorded of them."""

import dataclasses
import re

from headwater.errors import InvalidArgument

DEFAULT_MAX_BODY_BYTES = 65_536
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


class InvalidRecording(InvalidArgument):
    """What is to be recorded contradicts itself."""

    reason = "INVALID_RECORDING"


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedTensor:
    """What is known of an input or output: the names of its columns, and what is to be left out of it."""

    name: str
    columns: tuple[str, ...] = ()
    redacted: bool = False
    redacted_columns: tuple[str, ...] = ()

    @property
    def redacts(self) -> bool:
        """Whether anything is to be left out."""
        return self.redacted or bool(self.redacted_columns)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The columns that are left out, by number."""
        return tuple(self._number(column) for column in self.redacted_columns)

    def _number(self, column: str) -> int:
        return self.columns.index(column) if column in self.columns else int(column)


@dataclasses.dataclass(frozen=True, slots=True)
class LowConfidence:
    """When the model was not sure of its answer: some row's largest probability in ``output`` is below ``below``."""

    output: str
    below: float
    logits: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """Which requests are recorded with their tensors, and what is left out of these; by default none is."""

    sample_rate: float = 0.0
    on_error: bool = False
    low_confidence: LowConfidence | None = None
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    inputs: tuple[RecordedTensor, ...] = ()
    outputs: tuple[RecordedTensor, ...] = ()

    @property
    def records_bodies(self) -> bool:
        """Whether there is any request of which tensors are recorded."""
        return self.sample_rate > 0 or self.on_error or self.low_confidence is not None


NOTHING = Recording()


def check(recording: Recording) -> Recording:
    """The same.

    Raises:
        InvalidRecording: a tensor is named twice, or a column is to be left out that nobody can find.
    """
    for side, tensors in (("inputs", recording.inputs), ("outputs", recording.outputs)):
        names = [tensor.name for tensor in tensors]
        for number, tensor in enumerate(tensors):
            field = f"recording.{side}[{number}]"
            if tensor.name in names[:number]:
                raise InvalidRecording(f"{tensor.name!r} is named twice.", field=field)
            for column in tensor.redacted_columns:
                if column not in tensor.columns and not _NUMBER.fullmatch(column):
                    raise InvalidRecording(
                        f"{tensor.name!r} has no column {column!r}: name it in columns, or give its number from 0.",
                        field=f"{field}.redacted_columns",
                    )
                if tensor.columns and column not in tensor.columns and int(column) >= len(tensor.columns):
                    raise InvalidRecording(
                        f"{tensor.name!r} has {len(tensor.columns)} columns, so none has the number {column}.",
                        field=f"{field}.redacted_columns",
                    )
    return recording
