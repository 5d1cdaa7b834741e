"""Nothing that a pickle asks for is done, and all of it is told (promise 12)."""

import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.registry.formats import Format
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from services.registry.formats.pickles.cursor import Budget, Malformed
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.scan import run_one
from tests.data.models.pickles import ATTACKS, ENDLESS, MALFORMED, Attack, laughs, named, nested, text

# Loads each file, one pickle after the other, as their victims would. One extension is registered, as a program may.
_VICTIM = """
import copyreg, io, pathlib, pickle, sys
copyreg.add_extension("os", "system", 1)
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.pkl")):
    file = io.BytesIO(path.read_bytes())
    try:
        while True:
            pickle.load(file)
    except Exception:
        pass
"""


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_a_pickle_would_call_is_told_and_not_done(attack: Attack, tmp_path: Path) -> None:
    """R-13, X-12."""
    canary = tmp_path / "canary"
    facts = read(MemoryContent(attack(canary)))
    assert facts.format is Format.PICKLE
    assert facts.problems
    assert any(not each.safe for each in facts.globals)
    assert not canary.exists()


def test_the_attacks_are_real(tmp_path: Path) -> None:
    """Whoever loads one of them has the canary touched: so the test above means something."""
    canaries = {name: tmp_path / f"{number}.canary" for number, name in enumerate(ATTACKS)}
    for number, (name, attack) in enumerate(ATTACKS.items()):
        (tmp_path / f"{number}.pkl").write_bytes(attack(canaries[name]))
    subprocess.run([sys.executable, "-c", _VICTIM, tmp_path], check=True, capture_output=True, timeout=60)
    assert [name for name, canary in canaries.items() if not canary.exists()] == []


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_pickle_is_never_called_a_safe_one(content: bytes) -> None:
    facts = read(MemoryContent(content))
    assert facts.format is Format.UNSPECIFIED or facts.problems


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
def test_what_a_file_may_cost_is_bounded_whatever_it_asks_for(endless: Callable[[int], bytes]) -> None:
    """Promise 8: the budget is spent, and not more memory than it stands for."""
    content, budget = endless(20_000), Budget(steps=30_000, values=10_000, fetched=500_000)
    tracemalloc.start()
    with pytest.raises(Malformed, match=r"than are spent|than are kept|than what is read"):
        run_one(MemoryContent(content), Findings(), budget)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert budget.is_spent
    assert peak < 10_000 * 250 + 2 * 500_000


@pytest.mark.parametrize("content", [laughs(), nested()], ids=["laughs", "nested"])
def test_values_that_grow_without_end_cost_what_their_text_costs(content: bytes) -> None:
    facts = read(MemoryContent(content))
    assert (facts.format, facts.problems) == (Format.PICKLE, [])


_ARRAY = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"


def _dtype(code: str, state: bytes) -> bytes:
    """A type of NumPy's with a state."""
    return named("numpy", "dtype") + text(code) + b"\x89\x88\x87R(" + state + b"tb"


_FIELDS = b"K\x03" + text("|") + b"N" + text("a") + b"\x85}" + text("a") + named("numpy", "dtype") + text("O8")
_FIELDS += b"\x85RK\x00\x86sK\x08K\x01K\x00"
_FORGED = {
    "objects that a type hides": _dtype("O8", b"K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"),
    "numbers that are objects": _dtype("f8", b"K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3f"),
    "objects in fields": _dtype("V8", _FIELDS),
    "texts of a negative size": _dtype("S8", b"K\x03" + text("|") + b"NNNJ\xf8\xff\xff\xffK\x01K\x00"),
    "a state of numbers": _dtype("f8", b"K\x01"),
    "an array of two states": _ARRAY + b"K\x01b" + b"K\x02b",
    "an array that is not empty": _ARRAY.replace(b"K\x00\x85", b"K\x09\x85"),
    "a state for a view": named("numpy._core.numeric", "_frombuffer") + b")RK\x01b",
    "an encoding behind another call": named("torch._tensor", "_rebuild_from_type_v2")
    + (b"(" + named("_codecs", "encode") + named("torch", "Tensor") + text("x") + text("evil") + b"\x86NtR"),
    "a call behind two others": named("torch._tensor", "_rebuild_from_type_v2")
    + (b"(" + named("torch._tensor", "_rebuild_from_type_v2") + named("torch", "Tensor") + b")NtR"),
}


@pytest.mark.parametrize("body", _FORGED.values(), ids=_FORGED)
def test_what_is_safe_is_not_when_it_is_given_what_nobody_writes(body: bytes) -> None:
    """Everything that these import is safe; NumPy would follow numbers of the file as addresses."""
    facts = read(MemoryContent(b"\x80\x04" + body + b"."))
    assert all(each.safe for each in facts.globals)
    assert len(facts.problems) == 1


def test_numpy_believes_a_type_that_hides_objects() -> None:
    """So the test above means something: this type says that no address is in its bytes, and takes any."""
    content = b"\x80\x04" + _FORGED["objects that a type hides"] + b"."
    forged = pickle.loads(content)
    assert (forged.kind, forged.hasobject) == ("O", False)


def test_an_old_pickle_that_changes_what_it_imports_is_told() -> None:
    """It calls nothing, and says no protocol: ``os.path`` gets another ``join``."""
    facts = read(MemoryContent(b"cos\npath\n(dVjoin\nVx\nsb."))
    assert facts.format is Format.PICKLE
    assert facts.problems == ["Loading it imports os.path.", "Loading it changes something that it did not make."]


@pytest.mark.parametrize("dtype", ["f8", "?", "c16", "O", "S5", "U3", "V7", "M8[ns]", ">i4", "f2"])
@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_kind_are_safe_as_numpy_writes_them(dtype: str, protocol: int) -> None:
    array = np.zeros(3, dtype)
    facts = read(MemoryContent(pickle.dumps([array, array[::2], array.dtype], protocol)))
    assert facts.problems == []
