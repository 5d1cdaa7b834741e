"""Packages that only some readers need."""

import importlib
from typing import Any

from headwater.errors import FailedPrecondition


class PackageMissing(FailedPrecondition):
    """A package that Headwater does not bring along is not installed."""

    reason = "PACKAGE_MISSING"


def require(package: str) -> Any:
    """The imported module.

    Raises:
        PackageMissing: naming it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise PackageMissing(f"This needs the package {name}: pip install {name}", package=name) from error
