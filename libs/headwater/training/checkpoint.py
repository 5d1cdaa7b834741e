"""Nested training state as one safetensors file, bit for bit, without pickle.

The tensors go in under numbered names. The nesting around them, with the plain values in it (an optimizer's step
counters, hyperparameters, integer keys), goes as JSON into the header's metadata. What is neither is refused, never
dropped.
"""

import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.errors import InvalidArgument

if TYPE_CHECKING:
    import torch

_FORMAT = "headwater-checkpoint-1"


class CannotCheckpoint(InvalidArgument):
    """A value in the state is neither a tensor nor plain data."""

    reason = "CANNOT_CHECKPOINT"


class NotACheckpoint(InvalidArgument):
    """The file was not written by :func:`save`."""

    reason = "NOT_A_CHECKPOINT"


def save(state: Any, path: Path) -> None:
    """Write ``state``: dicts, lists and tuples of tensors, numbers, texts, booleans and None, nested as they like.

    Tensors that share storage are written once and are one tensor again after :func:`load`.

    Raises:
        CannotCheckpoint: naming the place of a value that is none of these.
    """
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    structure = _Flattener(tensors).flatten(state, "state")
    save_file(tensors, path, metadata={"format": _FORMAT, "structure": json.dumps(structure, allow_nan=False)})


def load(path: Path) -> Any:
    """What :func:`save` was given: equal values of equal types, tensors on the CPU.

    Raises:
        NotACheckpoint: the file is something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise NotACheckpoint(f"{path.name} is a safetensors file, but not a checkpoint.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return _unflatten(json.loads(metadata["structure"]), tensors)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise NotACheckpoint(f"{path.name} is not a readable checkpoint.") from error


class _Flattener:
    """Replaces each tensor by its name among ``tensors``."""

    def __init__(self, tensors: "dict[str, torch.Tensor]") -> None:
        self._tensors = tensors
        self._names: dict[tuple[Any, ...], str] = {}

    def flatten(self, value: Any, place: str) -> Any:
        import torch

        match value:
            case torch.Tensor():
                return {"tensor": self._name(value.detach())}
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else {"float": float.__repr__(value)}
            case dict():
                return {
                    "dict": [[_key(key, place), self.flatten(item, f"{place}.{key}")] for key, item in value.items()]
                }
            case tuple() | list():
                kind = "tuple" if isinstance(value, tuple) else "list"
                return {kind: [self.flatten(item, f"{place}[{index}]") for index, item in enumerate(value)]}
        raise CannotCheckpoint(f"{place} is a {type(value).__name__}: neither a tensor nor plain data.", place=place)

    def _name(self, tensor: "torch.Tensor") -> str:
        identity = (
            (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else (len(self._names),)
        )
        if identity not in self._names:
            name = f"t{len(self._tensors)}"
            self._names[identity] = name
            # A copy, because safetensors refuses views into shared storage (tied weights, slices of one buffer).
            self._tensors[name] = tensor.to("cpu", copy=True).contiguous()
        return self._names[identity]


def _key(key: Any, place: str) -> str | int:
    if type(key) not in (str, int):
        raise CannotCheckpoint(f"{place} has the key {key!r}; keys are texts or integers.", place=place)
    return key  # type: ignore[no-any-return]


def _unflatten(node: Any, tensors: "dict[str, torch.Tensor]") -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "float":
            return float(content)
        case "dict":
            return {key: _unflatten(item, tensors) for key, item in content}
        case "list":
            return [_unflatten(item, tensors) for item in content]
        case "tuple":
            return tuple(_unflatten(item, tensors) for item in content)
    raise ValueError(f"unknown kind {kind!r}")


def random_state() -> dict[str, Any]:
    """The state of every generator that training code draws from: Python's, NumPy's, torch's (CPU and each GPU)."""
    import torch

    numpy_state = np.random.get_state(legacy=False)
    return {
        "python": random.getstate(),
        "numpy": _to_plain(numpy_state),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Let every generator go on from ``state``, as :func:`random_state` gave it."""
    import torch

    random.setstate(state["python"])
    np.random.set_state(_from_plain(state["numpy"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


def _to_plain(state: Any) -> Any:
    """NumPy's nested state with its key array as a list of integers."""
    if isinstance(state, dict):
        return {key: _to_plain(item) for key, item in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state


def _from_plain(state: Any) -> Any:
    return state | {"state": state["state"] | {"key": np.array(state["state"]["key"], dtype=np.uint32)}}
