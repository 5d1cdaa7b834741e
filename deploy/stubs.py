"""Generates the Python stubs of protos/ into libs/, or checks that the committed ones are what protos/ says.

    .tools/bin/python deploy/stubs.py            write libs/headwater/**/*_pb2*.py, their .pyi, and libs/buf/**
    .tools/bin/python deploy/stubs.py --check    exit with 1 and name each stub that differs, is missing or is left over

Run by `make proto` and `make proto-check` with the interpreter of .tools/, which holds the compiler (deploy/tools.txt).
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
LIBS = ROOT / "libs"
# Where imports are looked up, and what is generated from there. google/** is never generated a second time: it comes
# with protobuf and googleapis-common-protos, and one process may register a proto file only once.
INCLUDES = (ROOT / "protos", ROOT / "protos/third_party", Path(grpc_tools.__path__[0], "_proto"))
PACKAGES = (ROOT / "protos/headwater", ROOT / "protos/third_party/buf")
SERVICE = re.compile(r"^service\s", re.MULTILINE)


def compile_protos(target: Path) -> None:
    """Compiles every proto of PACKAGES into `target`: messages with their types, and stubs where there is a service."""
    protos = [(package.parent, path) for package in PACKAGES for path in sorted(package.rglob("*.proto"))]
    messages = [str(path.relative_to(root)) for root, path in protos]
    services = [str(path.relative_to(root)) for root, path in protos if SERVICE.search(path.read_text())]
    includes = [f"--proto_path={path}" for path in INCLUDES]
    # The compiler finds the plugin for .pyi files, protoc-gen-mypy, beside its own interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    for outputs, names in ((("python", "mypy"), messages), (("grpc_python", "mypy_grpc"), services)):
        arguments = [f"--{output}_out={'quiet:' if 'mypy' in output else ''}{target}" for output in outputs]
        if names and protoc.main(["protoc", *includes, *arguments, *names]) != 0:
            raise SystemExit("the protos do not compile; the compiler's words are above")


def stubs(folder: Path) -> dict[Path, bytes]:
    """The generated files below `folder`, by their path in it."""
    found = (path for package in PACKAGES for path in (folder / package.name).rglob("*_pb2*.py*"))
    return {path.relative_to(folder): path.read_bytes() for path in found if path.suffix in {".py", ".pyi"}}


def write(fresh: dict[Path, bytes], kept: dict[Path, bytes]) -> None:
    """Brings libs/ to `fresh`; touches only what differs, and removes a stub whose proto is gone."""
    for name in kept.keys() - fresh.keys():
        (LIBS / name).unlink()
    changed = [name for name, content in fresh.items() if kept.get(name) != content]
    for name in changed:
        (LIBS / name).parent.mkdir(parents=True, exist_ok=True)
        (LIBS / name).write_bytes(fresh[name])
        for package in list(name.parents)[:-1]:  # import-linter sees only packages that say they are one
            (LIBS / package / "__init__.py").touch()
    print(f"{len(fresh)} stubs, {len(changed)} of them changed")


def check(fresh: dict[Path, bytes], kept: dict[Path, bytes]) -> None:
    """Raises SystemExit that names every stub that is not what protos/ says."""
    drifted = sorted(str(name) for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))
    if drifted:
        names = "\n  ".join(f"libs/{name}" for name in drifted)
        raise SystemExit(f"these stubs are not what protos/ says; run `make proto` and commit them:\n  {names}")
    print(f"{len(fresh)} stubs are what protos/ says")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        compile_protos(Path(scratch))
        act = check if sys.argv[1:] == ["--check"] else write
        act(stubs(Path(scratch)), stubs(LIBS))


if __name__ == "__main__":
    main()
