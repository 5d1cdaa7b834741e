"""What the results of a pipeline and of a model may depend on beside them."""

import functools
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Final

_PACKAGES: Final = ("headwater", "numpy", "pillow", "onnxruntime", "torch")


@functools.cache
def here() -> Mapping[str, str]:
    """The versions of what computes in this process, and the kind of machine."""
    return {"python": platform.python_version(), "machine": platform.machine(), **_versions()}


def differences(recorded: Mapping[str, str], present: Mapping[str, str]) -> str:
    """How ``present`` differs from ``recorded``: ``pillow 11.0 → 12.1``; empty where it does not.

    A package that only one of the two has says nothing: it need not have taken part.
    """
    both = sorted(recorded.keys() & present.keys())
    return ", ".join(f"{key} {recorded[key]} → {present[key]}" for key in both if recorded[key] != present[key])


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # not there, so it computes nothing
    return found
