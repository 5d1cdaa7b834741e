"""`python -m deploy.compose up|down|test`: the platform in containers (`make compose-up`, -down, -test)."""

import argparse

from deploy.compose.engine import EngineError
from deploy.compose.project import PASSWORDS, STANDARD_PORTS, Project


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.compose", description="The whole platform in containers.")
    parser.add_argument("command", choices=["up", "down", "test"])
    command = parser.parse_args().command
    try:
        if command == "test":
            from deploy.compose.check import check  # needs .venv, which up and down do not

            return check()
        project = Project("headwater", PASSWORDS, STANDARD_PORTS, report=lambda line: print(line, flush=True))
        if command == "down":
            project.down(volumes=False)
            return 0
        project.build()
        project.up()
    except EngineError as error:
        print(error)
        return 1
    print(f"Web console {project.endpoints()['gateway']}; for the client: export HEADWATER_HOME={PASSWORDS}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
