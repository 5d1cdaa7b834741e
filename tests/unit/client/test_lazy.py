"""What is imported when: a command that has nothing to do is over before large libraries would be loaded."""

import subprocess
import sys

import pytest

from headwater import datasets, files

LARGE = ["pyarrow", "numpy", "pandas", "polars", "torch", "sqlalchemy"]
LIGHT = [
    "headwater.cli",
    "headwater.cli.dataset.pushing, headwater.datasets.pushing_files, headwater.cli.dataset.show",
    "headwater.datasets",
    "headwater.files",
]


@pytest.mark.parametrize("modules", LIGHT)
def test_what_a_push_without_changes_needs_loads_no_large_library(modules: str) -> None:
    program = f"import {modules}, sys; print([name for name in {LARGE} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("package", [datasets, files])
def test_every_public_name_is_found_whatever_was_imported_before(package: object) -> None:
    """A name that were also that of a module would change its meaning when the module is imported."""
    name = package.__name__  # type: ignore[attr-defined]
    program = f"""
import importlib, pkgutil, {name} as package
for module in pkgutil.iter_modules(package.__path__):
    if module.name not in ("ray", "huggingface"):
        importlib.import_module(f"{name}.{{module.name}}")
modules = [name for name in package.__all__ if type(getattr(package, name)).__name__ == "module"]
assert not modules, modules
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr == ""


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = datasets.nonsense
    assert datasets.history.MAIN == "main"
