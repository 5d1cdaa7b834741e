"""Plain pickles tell what made them and whether they are safe (R-12, R-13)."""

import io
import pickle
from collections import OrderedDict

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from services.registry.formats import Format
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.scan import run_one
from services.registry.formats.pickles.values import Table, Value

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def _plain(value: Value) -> object:
    """What the machine built, in Python's own terms."""
    if isinstance(value, Table):
        return {key: _plain(each) for key, each in value.pairs}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value


@given(_PLAIN, st.integers(3, 5))
def test_plain_values_are_built_as_python_builds_them(value: object, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    built, end = run_one(MemoryContent(content), Findings(), Budget())
    assert (_plain(built), end) == (value, len(content))


@given(st.integers() | st.floats(allow_nan=False) | st.text(), st.integers(0, 1))
def test_old_protocols_are_built_so_too(value: object, protocol: int) -> None:
    content = pickle.dumps([value], protocol)
    assert run_one(MemoryContent(content), Findings(), Budget()) == ([value], len(content))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_containers_are_safe(protocol: int) -> None:
    value = OrderedDict(weights=np.ones((3, 4)), scale=np.float32(2), names={"a", "b"}, raw=b"\xff")
    facts = read(MemoryContent(pickle.dumps(value, protocol)))
    unsafe = {each.name for each in facts.globals if not each.safe}
    assert facts.format is Format.PICKLE
    assert unsafe == set(), facts.problems


def test_a_model_of_scikit_learn_tells_its_class_and_is_unsafe() -> None:
    """Its class is code that is not in the file."""
    model = LogisticRegression().fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])
    facts = read(MemoryContent(pickle.dumps(model)))
    assert (facts.framework, facts.architecture) == ("sklearn", "LogisticRegression")
    assert facts.framework_version
    assert "Loading it calls sklearn.linear_model._logistic.LogisticRegression." in facts.problems


def test_a_model_that_joblib_wrote_is_told_as_far_as_it_is_a_pickle() -> None:
    content = io.BytesIO()
    joblib.dump(LogisticRegression().fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1]), content)
    facts = read(MemoryContent(content.getvalue()))
    assert (facts.format, facts.framework) == (Format.PICKLE, "sklearn")
    assert any(problem.startswith("It is not a pickle to its end") for problem in facts.problems)


def test_long_bytes_are_passed_over_and_not_fetched() -> None:
    """A pickle of 64 MB costs what its structure costs."""
    content = pickle.dumps({"a": bytes(32 * 2**20), "b": bytes(32 * 2**20), "c": 1}, 4)
    fetched: list[int] = []

    def fetch(begin: int, length: int) -> bytes:
        fetched.append(length)
        return content[begin : begin + length]

    facts = read(RangedContent(len(content), fetch))
    assert (facts.format, facts.problems) == (Format.PICKLE, [])
    assert sum(fetched) < 4 * 2**20


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes_are_a_pickle_or_none(noise: bytes, protocol: int) -> None:
    assert read(MemoryContent(b"\x80" + bytes([protocol]) + noise)).format in (Format.PICKLE, Format.UNSPECIFIED)


@pytest.mark.parametrize(
    "text", [b"class Foo\nbar\nbaz\n", b"import os\n", b"I am a text.\n", b"(a, b)\n", b"{}", b"."]
)
def test_text_is_no_pickle(text: bytes) -> None:
    assert read(MemoryContent(text)).format is Format.UNSPECIFIED
