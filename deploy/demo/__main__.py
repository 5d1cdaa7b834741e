"""`make demo`: starts the local stack if none runs, runs the main job, and sums it up."""

import socket
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from deploy.demo.job import MainJob, Outcome
from deploy.demo.shell import CommandFailed, Shell
from deploy.local.errors import StackError
from deploy.local.programs import standard_ports
from deploy.local.stack import Stack
from deploy.local.state import default_home
from headwater.client import Connection
from headwater.errors import HeadwaterError


def main() -> int:
    home = default_home().absolute()
    started = time.monotonic()
    try:
        if not _answers(home):
            Stack(home, report=lambda line: print(line, flush=True)).up(standard_ports())
        ready = time.monotonic() - started
        with tempfile.TemporaryDirectory(prefix="headwater-demo-") as work:
            # Names are new for each run, so that it shows the same things on a stack where it ran before.
            prefix = f"digits-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
            shell = Shell(home, lambda line: print(line, flush=True))
            outcome = MainJob(shell, Path(work), prefix).run()
    except (CommandFailed, StackError, HeadwaterError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    _report(home, outcome, ready, time.monotonic() - started)
    return 0


def _answers(home: Path) -> bool:
    """Whether a stack with this state directory runs: here, or in containers."""
    if not (home / "endpoints.json").exists():
        return False
    with Connection.discover({"HEADWATER_HOME": str(home)}) as connection:
        host, _, port = connection.endpoints.registry.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _report(home: Path, outcome: Outcome, ready_s: float, total_s: float) -> None:
    outcomes = Column("outcome", overflow="fold")  # a name is never cut
    table = Table("what ran", "seconds", outcomes, box=None, pad_edge=False, header_style="bold")
    table.add_row("start the stack, or find it", f"{ready_s:.1f}", "ready")
    for step in outcome.steps:
        table.add_row(step.title, f"{step.seconds:.1f}", step.outcome)
    table.add_row(
        "in all", f"{total_s:.1f}", f"accuracy of {len(outcome.at_once)} served answers {outcome.accuracy:.3f}"
    )
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print()
    console.print(table)
    with Connection.discover({"HEADWATER_HOME": str(home)}) as connection:
        gateway = connection.endpoints.gateway
    console.print(f"\nLook at  {gateway}/  and  {gateway}/traces/{outcome.answer.request_id}", soft_wrap=True)
    console.print(f"Sign in with the token in {home / 'token'}; stop everything with `make down`.", soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main())
