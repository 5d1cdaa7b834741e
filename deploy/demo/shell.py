"""Runs the public command line as a person would, shows what it prints, and remembers it."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


class CommandFailed(Exception):
    """A command did not end as it should."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shell:
    """Where commands run and which Headwater they reach."""

    home: Path
    """The state directory of the stack."""
    show: Callable[[str], None]

    def headwater(self, *arguments: str) -> str:
        """Run ``headwater …`` and return what it printed.

        Raises:
            CommandFailed: it did not exit with 0.
        """
        code, output = self._run(arguments, None)
        if code != 0:
            raise CommandFailed(f"headwater {' '.join(arguments)} ended with {code}")
        return output

    def refused(self, *arguments: str) -> str:
        """Run ``headwater …``, which must be refused, and return the refusal.

        Raises:
            CommandFailed: it was not refused.
        """
        code, output = self._run(arguments, subprocess.STDOUT)
        if code != 1:
            raise CommandFailed(f"headwater {' '.join(arguments)} should be refused and ended with {code}")
        return output

    def _run(self, arguments: tuple[str, ...], errors: int | None) -> tuple[int, str]:
        self.show(f"$ headwater {' '.join(arguments)}")
        environment = {**os.environ, "HEADWATER_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [sys.executable, "-m", "headwater", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                self.show(f"  {line.rstrip()}")
        return process.returncode, "".join(lines)


def facts(output: str) -> Mapping[str, str]:
    """The ``key  value`` lines that a command printed."""
    pairs = (line.split("  ", 1) for line in output.splitlines() if "  " in line.strip())
    return {key.strip(): value.strip() for key, value in pairs}
