"""`make token ROLE=reader SUBJECT=ada`: prints a token for somebody else."""

import argparse
import sys
from pathlib import Path

from chassis.auth import Role
from chassis.errors import StartupError
from deploy.local.state import State, default_home
from headwater.errors import HeadwaterError
from headwater.names import check_segment

DAY_S = 24 * 3600


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.local.token", description="A token of this installation.")
    parser.add_argument("--home", type=Path, default=default_home(), help="the state directory (default: %(default)s)")
    parser.add_argument("--role", choices=[role.name.lower() for role in Role], required=True)
    parser.add_argument("--subject", required=True, help="whose it is, as it will stand in every record")
    parser.add_argument("--days", type=int, choices=range(1, 366), metavar="1..365", default=30)
    arguments = parser.parse_args()
    try:
        subject = check_segment(arguments.subject, "subject")
        token = State(arguments.home).mint(subject, Role[arguments.role.upper()], arguments.days * DAY_S)
    except (StartupError, HeadwaterError) as error:
        print(f"{error} Has this installation been started once, with `make up`?", file=sys.stderr)
        return 1
    print(token)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
