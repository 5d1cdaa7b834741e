"""Nothing that a pickle asks for is done, and all of it is told (promise 12)."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from services.registry.formats import Format
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from services.registry.formats.pickles.cursor import Budget, Malformed
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.scan import run_one
from tests.data.models.pickles import ATTACKS, ENDLESS, MALFORMED, Attack, laughs, nested

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
