"""Runs one command and ends it, with all it has started, when standard input closes: nothing outlives a Ray actor.

A script of the standard library only, because it is sent as text to hosts that have nothing of ours.
"""

import os
import signal
import subprocess
import sys
import threading

CANNOT_START = 127
"""The exit code when there is no such program, as shells have it."""


def main(argv: list[str]) -> int:
    """Run ``argv`` in this process's group; returns its exit code, or dies by the signal that killed it."""
    # Signals go to the whole group. This one stays, to tell how the command ended.
    signal.signal(signal.SIGTERM, lambda *_: None)
    ours = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def wait() -> None:
        os.read(ours, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
    try:
        code = subprocess.Popen(argv).wait()
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        return CANNOT_START
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
