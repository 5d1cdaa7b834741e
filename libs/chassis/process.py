"""Running a service as a process: settings from the environment, logs, the event loop, signals, the exit code.

Exit code 0: drained after a signal. 2: it could not start, and one sentence on stderr says what to do. 1: a fault.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop
from pydantic import ValidationError
from pydantic_settings import SettingsError

from chassis.errors import StartupError
from chassis.service import Service
from chassis.settings import ENV_PREFIX, ServiceSettings
from chassis.telemetry import configure_logging

S = TypeVar("S", bound=ServiceSettings)

_CANNOT_START = 2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger("chassis.process")


def run(build: Callable[[S], Awaitable[Service]], settings_class: type[S]) -> None:
    """Build the service, serve until SIGTERM or SIGINT, drain, return; ends the process if it cannot start."""
    try:
        settings = read_settings(settings_class)
        configure_logging(_program(), settings.log_level)
        with contextlib.suppress(asyncio.CancelledError):  # the signal came before there was anything to stop
            uvloop.run(_serve(build, settings))
    except StartupError as error:
        print(error, file=sys.stderr)
        raise SystemExit(_CANNOT_START) from None
    _leave_stuck_threads()


def read_settings(settings_class: type[S]) -> S:
    """The settings in the environment.

    Raises:
        StartupError: naming each variable that is wrong, or that no setting of this service has.
    """
    known = {f"{ENV_PREFIX}{name.upper()}" for name in settings_class.model_fields}
    try:
        return settings_class()
    except ValidationError as error:
        problems = [f"{_variable(each['loc'])} {_complaint(each['msg'])}" for each in error.errors()]
        raise StartupError(f"Correct these settings: {'; '.join(problems)}.") from error
    except SettingsError as error:
        raise StartupError(f"{error}. The settings are: {', '.join(sorted(known))}.") from error


async def _serve(build: Callable[[S], Awaitable[Service]], settings: S) -> None:
    _cancel_at_signal()
    service = await build(settings)
    try:
        await service.start()
        # What start-up made stays; the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        _log.info("draining", grace_s=settings.grace_s)
    finally:
        await service.stop()


def _cancel_at_signal() -> None:
    """SIGTERM and SIGINT cancel this task, also while it starts; a second one ends the process at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, cancel)


def _leave_stuck_threads() -> None:
    """Exit without waiting for threads that ignored the grace time (a Flight reader that stopped reading)."""
    if any(thread.name == "flight-shutdown" and thread.is_alive() for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(0)


def _program() -> str:
    """``registry`` for ``python -m services.registry``."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__").rpartition(".")[2] if spec else "headwater"


def _variable(location: tuple[int | str, ...]) -> str:
    return ENV_PREFIX + "_".join(str(part) for part in location).upper()


def _complaint(message: str) -> str:
    return f"({message[:1].lower()}{message[1:]})"
