"""`make compose-test`: builds the images, looks into them, runs the main job against them, and removes them again."""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.compose.engine import ROOT, SERVICES, EngineError, docker
from deploy.compose.project import STANDARD_PORTS, Project
from deploy.ports import free

# What only some services need, and which ones: everything else must not be in an image.
HEAVY = {
    "torch": {"training", "inference"},
    "onnxruntime": {"inference"},
    "tritonclient": {"inference"},
    "onnx": {"registry", "training", "inference"},
    "xgboost": {"inference"},
    "lightgbm": {"inference"},
    "sklearn": set[str](),
    "ray": set[str](),
    "pytest": set[str](),
}
LOOK = """
import importlib.util, os, sys
print(os.getuid(), *(name for name in sys.argv[1:] if importlib.util.find_spec(name)))
"""


def check() -> int:
    """Returns the exit code of the main job; the containers and their volumes are gone afterwards."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the containers go then too
    with tempfile.TemporaryDirectory(prefix="headwater-compose-") as home:
        ports = dict(zip(STANDARD_PORTS, free(len(STANDARD_PORTS)), strict=True))
        # Two checkouts on one machine do not meet; what an earlier run of this one has left goes first.
        name = f"headwater-test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
        project = Project(name, Path(home), ports, report=lambda line: print(line, flush=True))
        project.build()
        project.down(volumes=True)
        for service in SERVICES:
            look_into(service)
        try:
            project.up()
            started = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "deploy.demo"], cwd=ROOT, env={**os.environ, "HEADWATER_HOME": home}
            )
            if done.returncode != 0:
                project.compose.run("logs", "--tail=60")
            print(f"the main job against the containers: code {done.returncode}, {time.monotonic() - started:.0f} s")
            return done.returncode
        finally:
            project.down(volumes=True)


def look_into(service: str) -> None:
    """Refuses an image that runs as root or holds what its service does not need.

    Raises:
        EngineError: naming what is wrong.
    """
    image = f"headwater/{service}:dev"
    user, *found = docker("run", "--rm", "--network", "none", image, "python", "-c", LOOK, *HEAVY).split()
    if user == "0":
        raise EngineError(f"The image {image} runs as root.")
    wanted = {name for name, services in HEAVY.items() if service in services}
    if set(found) != wanted:
        raise EngineError(f"The image {image} holds {sorted(found)} and should hold {sorted(wanted)}.")
    size_mb = int(docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6
    print(f"{image:<30} {size_mb:>6.0f} MB  user {user}  {' '.join(found)}")
