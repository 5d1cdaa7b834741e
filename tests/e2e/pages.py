"""The how-to pages, run as they are written, against services on other ports."""

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headwater.client import Connection, Endpoints
from tests.e2e.documents import Block, sections


async def run_page(page: str, connection: Connection, directory: Path) -> None:
    """Run a page's Bash blocks, then its Python blocks, in ``directory``; each must print what the page says."""
    (directory / ".headwater").mkdir()
    (directory / ".headwater" / "token").write_text(connection.token)
    (directory / ".headwater" / "endpoints.json").write_text(json.dumps(dataclasses.asdict(connection.endpoints)))
    blocks = [_here(block, connection) for section in sections(page).values() for block in section]
    assert sum(bool(block.expected) for block in blocks) >= 5
    await asyncio.to_thread(_run, blocks, "bash", ["bash", "-eu"], "echo '== end of block'", directory)
    await asyncio.to_thread(_run, blocks, "python", [sys.executable], "print('== end of block')", directory)


def _here(block: Block, connection: Connection) -> Block:
    """The block, with the addresses that the services have here."""
    code = block.code
    for field in dataclasses.fields(Endpoints):
        if standard := getattr(Endpoints(), field.name):
            code = code.replace(standard, getattr(connection.endpoints, field.name))
    return dataclasses.replace(block, code=code)


def _run(blocks: Sequence[Block], language: str, command: Sequence[str], mark: str, directory: Path) -> None:
    """Run the page's blocks of a language as one program, and compare what each printed."""
    chosen = [block for block in blocks if block.language == language]
    if not chosen:
        return
    program = directory / f"page.{language}"
    program.write_text("\n".join(f"{block.code}\n{mark}" for block in chosen))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*command, str(program)],
        cwd=directory,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout
    for block, printed in zip(chosen, done.stdout.split("== end of block\n"), strict=False):
        block.check(printed)
