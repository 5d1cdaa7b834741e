"""A registered function that does as its input says, most of it what a model should not, in a worker process."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from services.inference.engines.code import Code, digest_of
from services.inference.engines.loader import Bounds, Engines
from services.inference.engines.options import EngineOptions
from services.inference.engines.worker.engine import ProcessEngine
from services.inference.tensors.model import Array, TensorSpec

MODULE = "headwater_misbehaving"
TEXT = TensorSpec("x", "BYTES", (-1,)), TensorSpec("y", "BYTES", (-1,))
SOURCE = '''
import numpy as np

def make(model, device):
    """What is asked is Python, which is executed; the answer is what it leaves in ``y``, or the error it raised."""
    content = model.read()
    def compute(inputs):
        answers = []
        for text in inputs["x"]:
            names = {"content": content, "y": b""}
            try:
                exec(text.decode(), names)
            except MemoryError:
                raise
            except Exception as error:
                names["y"] = repr(error)
            answers.append(names["y"] if isinstance(names["y"], bytes) else str(names["y"]).encode())
        y = np.empty(len(answers), object)
        y[:] = answers
        return {"y": y}
    return compute

def hanging(model, device):
    while True:
        pass

def crashing(model, device):
    import ctypes
    ctypes.string_at(0)

def failing(model, device):
    raise ValueError("not this file")

def floats(model, device):
    return lambda inputs: {"y": inputs["x"] * 2.0}
'''


def a_file(content: bytes) -> BinaryIO:
    """An open file with this content."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever loads it closes it
    file.write(content)
    file.flush()
    return file


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """Engines whose workers may execute what they are asked."""

    engines: Engines
    directory: Path

    def load(self, name: str = "rogue", callable_name: str = "rogue") -> ProcessEngine:
        """A worker that does as it is told."""
        options = EngineOptions(callable=callable_name, inputs=TEXT[:1], outputs=TEXT[1:])
        engine = self.engines.load("", a_file(b"the file"), options, name=name)
        assert isinstance(engine, ProcessEngine)
        return engine


def texts(*values: str) -> Array:
    """BYTES."""
    array = np.empty(len(values), np.object_)
    array[:] = [value.encode() for value in values]
    return array


def ask(engine: ProcessEngine, code: str) -> str:
    """What ``y`` is after ``code`` has run in the worker."""
    (answer,) = engine.predict([texts(code)])
    return bytes(answer[0]).decode()


@pytest.fixture(scope="module")
def make_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Bench]]:
    """Makes benches with other bounds."""
    directory = tmp_path_factory.mktemp("code")
    (directory / f"{MODULE}.py").write_text(SOURCE)
    made: list[Engines] = []

    def make(**bounds: float) -> Bench:
        digest = digest_of(MODULE)
        code = {
            name: Code(MODULE, function, digest)
            for name, function in {
                "rogue": "make",
                "failing": "failing",
                "hanging": "hanging",
                "crashing": "crashing",
                "floats": "floats",
                "none": "absent",
            }.items()
        }
        code["changed"] = Code(MODULE, "make", f"sha256:{'0' * 64}")
        engines = Engines(
            Bounds(**{"threads": 1, "memory_bytes": 256 * 2**20, "timeout_s": 0.8, "load_timeout_s": 2, **bounds}),  # type: ignore[arg-type]
            code=code,
        )
        made.append(engines)
        return Bench(engines, directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(directory))
        patch.setenv("HEADWATER_AUTH_KEY_FILE", "/secret")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.syspath_prepend(directory)
        yield make
        for engines in made:
            engines.close()


@pytest.fixture(scope="module")
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """One for all tests of a module."""
    return make_bench()
