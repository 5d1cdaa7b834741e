"""Packages whose names are imported when they are first used, so that a command imports no more than it needs.

    if TYPE_CHECKING:
        from headwater.datasets.catalog import get
    __getattr__ = lazily(__name__, {"catalog": ["get"]})

No name may be that of a module of the package: importing the module would put it in the name's place.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazily(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` (PEP 562) that finds each name in the module of ``package`` that is its home.

    Any other name is that of a module of the package, or of nothing.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name in home_of:
            value = getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)
            setattr(sys.modules[package], name, value)
            return value
        if not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}"):
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
