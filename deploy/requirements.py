"""Prints what an extra of pyproject.toml asks for, one requirement a line: `python deploy/requirements.py registry`.

The images install from this list before the sources are copied, so that a change of code rebuilds no dependency.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OWN_EXTRAS = re.compile(r"headwater\[([\w,-]+)\]")


def requirements(extra: str, project: Mapping[str, Any]) -> list[str]:
    """The project's own dependencies and those of `extra`, with the extras that it names in turn."""
    found = list(project["dependencies"])
    for requirement in project["optional-dependencies"][extra]:
        if own := OWN_EXTRAS.fullmatch(requirement):
            for name in own[1].split(","):
                found += requirements(name, project)
        else:
            found.append(requirement)
    return sorted(set(found))


if __name__ == "__main__":
    pyproject = tomllib.loads(Path(__file__).resolve().parent.parent.joinpath("pyproject.toml").read_text())
    print("\n".join(requirements(sys.argv[1], pyproject["project"])))
