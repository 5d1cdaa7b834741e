"""The README's main job and the quickstart, run as they are written.

Two things are not as on a reader's machine: the stack is on free ports, so the documented ones are replaced in the
text, and where there is no grpcurl, `tests/e2e/grpcurl.py` takes its place.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from headwater.client import Endpoints
from tests.e2e.conftest import RunningStack
from tests.e2e.documents import ROOT, Block, sections

MAIN_JOB = sections("README.md")["The main job, step by step"]
QUICKSTART = {heading: blocks for heading, blocks in sections("docs/quickstart.md").items() if blocks}

# A model is trained within the first of them.
pytestmark = pytest.mark.timeout(300)

Run = Callable[[Sequence[Block]], list[str]]


@pytest.fixture(scope="module")
def run(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run blocks as a reader would, in what looks like the root of a clone; returns what each of them printed.

    The shell blocks are pasted into one shell; each Python block is a program.
    """
    root, tools = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("tools")
    (root / ".headwater").symlink_to(stack.home)
    (root / ".venv").symlink_to(sys.prefix)
    (root / "docs").symlink_to(ROOT / "docs")
    if shutil.which("grpcurl") is None:
        script = tools / "grpcurl"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/e2e/grpcurl.py" "$@"\n')
        script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:{tools}", "TMPDIR": str(tools)}

    def run(blocks: Sequence[Block]) -> list[str]:
        shell = [block for block in blocks if block.language == "bash"]
        # Each pasted block is followed by a line that no command prints, to tell whose output is whose.
        pasted = "".join(f"{_here(block.code, stack)}\necho; echo '== end of block'\n" for block in shell)
        printed = _output(["bash", "-euo", "pipefail", "-c", pasted], shell[:1], root, environment) if shell else ""
        outputs = dict(zip(map(id, shell), printed.split("\n== end of block\n"), strict=False))
        for block in blocks:
            if block.language == "python":
                code = _here(block.code, stack)
                outputs[id(block)] = _output([sys.executable, "-c", code], [block], root, environment)
        return [outputs[id(block)] for block in blocks]

    return run


def _output(command: Sequence[str], blocks: Sequence[Block], cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240
    )
    assert done.returncode == 0, f"{blocks[0].where} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def _here(code: str, stack: RunningStack) -> str:
    """The block with this stack's addresses in the place of the documented ones."""
    real = {
        getattr(Endpoints(), field.name): getattr(stack.connection.endpoints, field.name)
        for field in dataclasses.fields(Endpoints)
    }
    return re.sub(r"127\.0\.0\.1:\d+", lambda found: real[found[0]], code)


@pytest.fixture(scope="module")
def main_job(run: Run) -> list[str]:
    """What the blocks of the main job printed; the quickstart goes on from there."""
    return run(MAIN_JOB)


def test_the_main_job_runs_as_the_readme_says(main_job: list[str]) -> None:
    assert len(main_job) == 6
    for block, output in zip(MAIN_JOB, main_job, strict=True):
        block.check(output)


@pytest.mark.parametrize("client", QUICKSTART)
def test_a_client_does_what_the_quickstart_says(client: str, main_job: list[str], run: Run) -> None:
    blocks = QUICKSTART[client]
    for block, output in zip(blocks, run(blocks), strict=True):
        block.check(output)


def test_every_client_has_a_section() -> None:
    assert [*QUICKSTART] == ["Command line", "Python", "gRPC", "Arrow Flight", "tritonclient"]


def test_a_documented_line_that_is_not_printed_is_noticed() -> None:
    block = Block("here:1", "bash", "", ["rows  1,797", "digest sha256:…"])
    block.check("a\nrows 1,797\nb\ndigest    sha256:11\n")
    with pytest.raises(AssertionError, match="here:1 says"):
        block.check("digest sha256:11\nrows 1,797\n")
