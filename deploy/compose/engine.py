"""Talking to the container engine: `docker`, and whichever compose there is."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("registry", "dataset", "preprocessing", "training", "inference", "gateway")


class EngineError(Exception):
    """What was asked of the engine cannot be done; the text is one sentence with the remedy."""


class Compose:
    """One project of docker-compose.yml.

    Args:
        project: prefixes the names of containers and volumes; two projects on one machine do not meet.
        environment: what docker-compose.yml interpolates (ports).
    """

    def __init__(self, project: str, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._command = [*_compose_command(), "--project-name", project]

    def run(self, *arguments: str, log: Path | None = None) -> None:
        """Runs a compose command; what it prints is shown, or appended to `log`.

        Raises:
            EngineError: it failed.
        """
        with log.open("ab") if log else contextlib.nullcontext() as output:
            command = [*self._command, *arguments]
            done = subprocess.run(command, cwd=ROOT, env=self._environment, stdout=output, stderr=output)
        if done.returncode != 0:
            where = f"the end of {log}:\n{_tail(log)}" if log else "its words are above"
            raise EngineError(f"`compose {' '.join(arguments)}` failed with code {done.returncode}; {where}")

    def output(self, *arguments: str) -> str:
        """Runs a compose command and returns what it prints.

        Raises:
            EngineError: it failed; the text holds its last words.
        """
        return _output([*self._command, *arguments], self._environment)

    def states(self) -> dict[str, str]:
        """Service name -> what its container does: healthy, starting, unhealthy, or exited with the code."""
        found = {}
        for service in SERVICES:
            container = self.output("ps", "-q", service).strip()
            state = json.loads(docker("inspect", "--format", "{{json .State}}", container)) if container else {}
            if state.get("Running"):
                found[service] = state.get("Health", {}).get("Status", "running")
            else:
                found[service] = f"exited with code {state.get('ExitCode')}" if state else "not created"
        return found


def docker(*arguments: str) -> str:
    """Runs `docker` and returns what it prints.

    Raises:
        EngineError: it failed.
    """
    return _output(["docker", *arguments], os.environ)


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise EngineError(f"`{' '.join(command[:4])} …` failed: {' '.join(words)}")
    return done.stdout


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _compose_command() -> list[str]:
    """`docker compose` where it is installed, else `docker-compose`.

    Raises:
        EngineError: there is no engine, it does not answer, or neither compose is installed.
    """
    if not shutil.which("docker"):
        raise EngineError("Containers need Docker: install it, or use `make up`, which needs none.")
    if subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        raise EngineError("Docker does not answer: start it (or set DOCKER_HOST), or use `make up`, which needs none.")
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise EngineError("Docker has no compose: install its compose plugin, or docker-compose 1.29.")
