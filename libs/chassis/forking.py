"""Lets a process that answers gRPC start other processes.

gRPC's fork handlers run in the child between fork and exec, which is how uvloop starts a process, and one child in
thirty dies of them with SIGSEGV. No service forks without exec, so nobody needs them. gRPC reads the variable when it
is imported: ``chassis`` imports this before anything else.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
