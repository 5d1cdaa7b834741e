"""Ends the test session's servers when its standard input closes, that is: when pytest is gone, however it went.

Run as a script, with nothing but the standard library, so that it starts in a few milliseconds.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def main(directory: Path) -> None:
    """Wait for the end of standard input, then kill every server under ``directory`` and remove it."""
    sys.stdin.buffer.read()
    # PostgreSQL gives up at once on SIGQUIT and takes its children along; on SIGKILL they would be left.
    for name, how in (("postmaster.pid", signal.SIGQUIT), ("valkey.pid", signal.SIGKILL)):
        for pid_file in directory.rglob(name):
            with contextlib.suppress(OSError, ValueError, IndexError):
                os.kill(int(pid_file.read_text().splitlines()[0]), how)
    for _ in range(100):  # a server that is going may still write
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            break
        time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
