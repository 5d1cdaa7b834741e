"""Functions that the map tests send to worker processes."""

import os
import signal
import time


def square(number: int) -> int:
    return number * number


def later_ones_sooner(number: int) -> int:
    time.sleep(0.3 if number == 0 else 0.0)
    return number


def refuse_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def die_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def sleep_and_name_process(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def note_and_sleep(place: tuple[str, int]) -> None:
    with open(os.path.join(place[0], str(place[1])), "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)
