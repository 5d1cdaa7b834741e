"""Code that an administrator has registered: callables, and architectures of state dicts.

Code never comes with a model (promise 12). It is installed beside the service, and a setting names what of it may run
under which name, with the digest of its sources. Whoever deploys a model may choose among those names only.

    HEADWATER_ENGINE_CODE='{"rank": "company.models:rank@sha256:0f3c…"}'

The digest is over all Python sources of the module's top-level package, or of the module where it is in no package, in
the canonical form of a model version: SHA-256 of sorted lines ``path NUL sha256:digest LF``.
"""

import ast
import dataclasses
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headwater.errors import InvalidArgument
from services.inference.engines.engine import ModelRefused

_ENTRY = re.compile(r"(?P<module>[\w.]+):(?P<function>\w+)@(?P<digest>sha256:[0-9a-f]{64})")


class CodeChanged(ModelRefused):
    """The code is not that which was registered, or is not there."""

    reason = "ENGINE_CODE_CHANGED"


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """A function of a module, and the digest that the module's sources must have."""

    module: str
    function: str
    digest: str

    def load(self) -> Any:
        """The function. Nothing of the module has run before its sources were found to be those registered.

        Raises:
            CodeChanged: they are others, or there is no such module or function.
        """
        found = digest_of(self.module)
        if found != self.digest:
            raise CodeChanged(
                f"The code of {self.module} has the digest {found or 'of nothing: it is not installed'}; "
                f"registered is {self.digest}."
            )
        try:
            module = importlib.import_module(self.module)
        except Exception as error:
            raise CodeChanged(f"The code of {self.module} cannot be imported: {error}.") from error
        function = getattr(module, self.function, None)
        if not callable(function):
            raise CodeChanged(f"{self.module} has no function {self.function}.")
        return function


def parse_code(registered: Mapping[str, str]) -> Mapping[str, Code]:
    """The setting ``engine_code``: ``module:function@sha256:…`` by name.

    Raises:
        InvalidArgument: an entry has another form.
    """
    code = {}
    for name, entry in registered.items():
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise InvalidArgument(f"{name}: must be module:function@sha256:… with 64 hex digits.", field="engine_code")
        code[name] = Code(**match.groupdict())
    return code


def check_code(registered: dict[str, str]) -> dict[str, str]:
    """The setting as it is, for where settings are read.

    Raises:
        ValueError: an entry has another form.
    """
    try:
        parse_code(registered)
    except InvalidArgument as error:
        raise ValueError(error.message) from error
    return registered


def digest_of(module: str) -> str:
    """The digest of the sources that ``module`` is part of; empty if there are none. Imports nothing."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None:
        return ""
    if spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        files = [(path.relative_to(root).as_posix(), path) for path in root.rglob("*.py")]
    elif spec.origin and Path(spec.origin).is_file():
        files = [(Path(spec.origin).name, Path(spec.origin))]
    else:
        return ""
    lines = "".join(f"{name}\0sha256:{_sha256(path)}\n" for name, path in sorted(files))
    return f"sha256:{_sha256_of(lines.encode())}"


def check_function(module: str, function: str) -> None:
    """Return if the sources of ``module`` say that it has ``function``. Imports nothing.

    Raises:
        InvalidArgument: no such module is installed, or nothing in it makes that name.
    """
    source = _source_of(module)
    if source is None:
        raise InvalidArgument(f"No module {module} with Python sources is installed here.", field="module")
    try:
        names = set(_names(ast.parse(source.read_bytes())))
    except (SyntaxError, ValueError) as error:
        raise InvalidArgument(f"The source of {module} is no Python: {error}.", field="module") from error
    if function not in names and "*" not in names:
        raise InvalidArgument(f"{module} has no function {function}.", field="function")


def _source_of(module: str) -> Path | None:
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    if not spec.submodule_search_locations:
        return Path(spec.origin) if spec.origin and not inner and Path(spec.origin).is_file() else None
    root = Path(next(iter(spec.submodule_search_locations))).joinpath(*inner)
    found = (root.with_suffix(".py") if inner else root / "__init__.py", root / "__init__.py")
    return next((path for path in found if path.is_file()), None)


def _names(node: ast.AST) -> Iterator[str]:
    """What a module's own code makes, also under a condition; ``*`` where it takes everything from elsewhere."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield child.name
            case ast.alias():
                yield child.asname or child.name.partition(".")[0]
            case ast.Name(ctx=ast.Store()):
                yield child.id
            case _:
                yield from _names(child)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(entries: list[str]) -> int:
    """Print what registers each ``module:function``; 1, and why, if one is not installed or is not there."""
    for entry in entries:
        module, _, function = entry.partition(":")
        try:
            if not all(map(str.isidentifier, (*module.split("."), function))):
                raise InvalidArgument("It must be module:function.")
            check_function(module, function)
        except InvalidArgument as error:
            sys.stderr.write(f"{entry}: {error.message}\n")
            return 1
        print(f"{module}:{function}@{digest_of(module)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
