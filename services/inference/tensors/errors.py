"""What can be wrong with tensors. Every text names what was expected and what came."""

from headwater.errors import InvalidArgument

_SHOWN = 64


class InvalidTensor(InvalidArgument):
    """A tensor contradicts itself: its bytes, its shape and its element type do not fit together."""

    reason = "INVALID_TENSOR"


class SignatureMismatch(InvalidArgument):
    """The tensors are well formed but are not those that the model takes or gives."""

    reason = "SIGNATURE_MISMATCH"


def shown(text: str) -> str:
    """A caller's own word, quoted and short enough to be sent back in an error."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
