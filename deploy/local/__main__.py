"""`python -m deploy.local up|down|status`: the local stack (`make up`, `make down`, `make status`)."""

import argparse
import sys
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.programs import free_ports, standard_ports
from deploy.local.screen import table
from deploy.local.stack import Stack
from deploy.local.state import default_home
from headwater.errors import HeadwaterError

PORTS = {"standard": standard_ports, "free": free_ports}


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.local", description="The whole platform on this machine.")
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--home", type=Path, default=default_home(), help="the state directory (default: %(default)s)")
    parser.add_argument("--ports", choices=PORTS, default="standard", help="standard ports, or any free ones")
    arguments = parser.parse_args()
    stack = Stack(arguments.home.absolute(), report=lambda line: print(line, flush=True))
    try:
        if arguments.command == "down":
            stack.down()
            return 0
        if arguments.command == "up":
            stack.up(PORTS[arguments.ports]())
    except (StackError, HeadwaterError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(stack))
    if arguments.command == "up":
        print(f"\nWeb console  {stack.endpoints()['gateway']}\nState, logs  {arguments.home}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
