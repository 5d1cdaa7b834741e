"""Fails when the protos break a client of an earlier commit: `python deploy/breaking.py COMMIT` (`make lint`).

The earlier protos are taken out of git rather than through buf's own git input, which needs a full repository: a CI
checkout may be shallow or a work tree. A commit without protos, and no commit at all, break nobody.
"""

import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ("buf.yaml", "protos")


def main(commit: str) -> int:
    listing = ["git", "ls-tree", "--name-only", commit, *PROTOS]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if not commit or sorted(listed.stdout.split()) != sorted(PROTOS):
        print("no earlier protos: nothing to break")
        return 0
    archive = subprocess.run(["git", "archive", commit, *PROTOS], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as earlier:
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(earlier, filter="data")
        buf = Path(sys.executable).parent / "buf"
        return subprocess.run([buf, "breaking", "--against", earlier], cwd=ROOT).returncode


if __name__ == "__main__":
    raise SystemExit(main("".join(sys.argv[1:2])))
