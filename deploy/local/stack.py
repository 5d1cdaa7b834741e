"""Starts, stops and describes the stack of one state directory."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from chassis.embedded import EmbeddedPostgres, EmbeddedValkey
from deploy.local import programs
from deploy.local.environment import check_user_settings, environment_of
from deploy.local.errors import StackError
from deploy.local.processes import Processes
from deploy.local.programs import PROGRAMS, Ports, Program
from deploy.local.state import State
from deploy.ports import HOST, taken

START_TIMEOUT_S = 120.0
# Longer than a service's own grace time (10 s), so that the service ends its calls before it is killed.
STOP_TIMEOUT_S = 15.0

Report = Callable[[str], None]


class Stack:
    """The stack in the state directory `home`."""

    def __init__(self, home: Path, report: Report) -> None:
        self._state = State(home)
        self._home = home
        self._report = report
        self.processes = Processes(home)
        self.servers: dict[str, EmbeddedPostgres | EmbeddedValkey] = {
            "postgres": EmbeddedPostgres(home / "postgres"),
            "valkey": EmbeddedValkey(home / "valkey"),
        }
        # Servers of the user's own take the place of the embedded ones.
        self.external = {
            name: url
            for name, variable in (("postgres", "HEADWATER_DATABASE_URL"), ("valkey", "HEADWATER_REDIS_URL"))
            if (url := os.environ.get(variable))
        }

    def up(self, ports: Ports) -> None:
        """Starts what is missing and returns when everything is ready. `ports` is for a stack that does not run yet.

        Raises:
            StackError: something is in the way, or a service did not become ready.
        """
        check_user_settings()
        with self._state.lock():
            self._state.ensure_credentials()
            self._start_servers()
            missing = [program for program in PROGRAMS if self.processes.find(program.name) is None]
            if len(missing) < len(PROGRAMS):
                ports = self._state.ports() or ports  # of those that run
            _refuse_taken(missing, ports)
            self._state.save_ports(ports)
            for program in missing:
                self._start(program, ports)
            self._wait(missing, ports)
            self._state.save_endpoints(programs.endpoints(ports, self._home))

    def down(self) -> None:
        """Stops everything that `up` has started; the data stays."""
        with self._state.lock():
            running = [program.name for program in PROGRAMS if self.processes.find(program.name) is not None]
            for name in self.processes.stop(running, STOP_TIMEOUT_S):
                self._report(f"{name} did not end within {STOP_TIMEOUT_S:.0f} s and was killed")
            for name, server in self.servers.items():
                if server.running:
                    server.stop()
                    running.append(name)
            self._state.endpoints_file.unlink(missing_ok=True)
            self._report(f"stopped: {', '.join(running)}" if running else "nothing was running")

    def ports(self) -> Ports:
        """The ports of the stack that was started last."""
        return self._state.ports() or {}

    def endpoints(self) -> dict[str, str]:
        """Where each running service answers; empty while the stack is down."""
        return self._state.endpoints()

    def _start_servers(self) -> None:
        def start(name: str) -> None:
            if name in self.external:
                self._report(f"{name:<20} yours, from the environment")
            elif not self.servers[name].running:
                started = time.monotonic()
                self.servers[name].start()
                self._report(f"{name:<20} ready after {time.monotonic() - started:.1f} s")

        with ThreadPoolExecutor() as pool:
            list(pool.map(start, self.servers))

    def _url(self, name: str) -> str:
        return self.external.get(name) or self.servers[name].url

    def _start(self, program: Program, ports: Ports) -> None:
        environment = environment_of(
            program,
            home=self._home,
            key_file=self._state.key_file,
            ports=ports,
            database_url=self._url("postgres"),
            redis_url=self._url("valkey"),
        )
        self.processes.start(program.name, [sys.executable, "-m", program.module], environment)

    def _wait(self, started: list[Program], ports: Ports) -> None:
        """Returns when every service of `started` is ready; ends early when one of them has ended."""
        begun = time.monotonic()
        waiting = list(started)
        while waiting:
            for program in list(waiting):
                if self.processes.find(program.name) is None:
                    raise StackError(f"{program.name} ended while starting:\n{self._last_words(program)}")
                if readiness(ports[program.name]["admin_port"]) == "":
                    waiting.remove(program)
                    self._report(f"{program.name:<20} ready after {time.monotonic() - begun:.1f} s")
            if waiting and time.monotonic() - begun > START_TIMEOUT_S:
                first = waiting[0]
                reason = readiness(ports[first.name]["admin_port"])
                raise StackError(f"{first.name} is not ready after {START_TIMEOUT_S:.0f} s: {reason}")
            time.sleep(0.1)

    def _last_words(self, program: Program) -> str:
        return f"{self.processes.last_words(program.name)}\n(all of it: {self.processes.log(program.name)})"


def readiness(admin_port: int) -> str:
    """Empty when the service is ready; else why not, in a few words."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{admin_port}/ok/ready", timeout=2):
            return ""
    except urllib.error.HTTPError as error:
        return _why(error.read())
    except OSError:
        return "does not answer yet"


def _why(body: bytes) -> str:
    try:
        return f"not ready: {json.dumps(json.loads(body))}"
    except ValueError:
        return "not ready"


def _refuse_taken(missing: list[Program], ports: Ports) -> None:
    wanted = {port: program.name for program in missing for port in ports[program.name].values()}
    for port in taken(wanted):
        raise StackError(
            f"Port {port}, which {wanted[port]} needs, is in use{_by_whom(port)}: "
            "stop that program, or let every service take a free port with `make up PORTS=free`."
        )


def _by_whom(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr and connection.laddr.port == port and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass  # whose it is may be another user's secret; that it is taken is known all the same
    return ""
