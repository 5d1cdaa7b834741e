"""The process that runs a gang on this machine: a ``torch.distributed.elastic`` agent.

A script, run by ``local``, which never imports it: torch takes seconds. Its arguments are a file descriptor for the
outcome, the number of processes, the number of restarts, and then the argument vector. It ends, and takes the gang
along, when its standard input closes: a gang never outlives the service that started it.
"""

import json
import os
import signal
import sys
import threading
import uuid

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def main(outcome: int, processes: int, max_restarts: int, argv: list[str]) -> int:
    """Run the gang; on failure write which rank failed first, and its exit code, to ``outcome`` and return 1."""
    _end_with_standard_input()
    os.set_inheritable(outcome, False)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        max_restarts=max_restarts,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, argv[0])(*argv[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        os.write(outcome, json.dumps({"rank": rank, "code": failure.exitcode}).encode())
        return 1
    except OSError as error:
        os.write(outcome, json.dumps({"error": error.strerror}).encode())
        return 1
    return 0


def _end_with_standard_input() -> None:
    # Under another number, so that the gang's processes read nothing from it.
    ours = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def wait() -> None:
        os.read(ours, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
