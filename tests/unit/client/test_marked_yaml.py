"""YAML read safely, each value with its line (promise 12)."""

import itertools
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headwater.marked_yaml import Limits, YamlFault, YamlMissing, compose

BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{key}: &{key} [*{before}, *{before}]\n" for before, key in itertools.pairwise("abcdefg")
)


def test_each_value_knows_its_line_and_column() -> None:
    node = compose("a: 1\nb:\n  - x\n  - c: |\n      text\n")
    second = node.entries["b"].items[1]
    assert (node.entries["a"].line, node.entries["a"].column) == (1, 4)
    assert (second.line, second.column) == (4, 5)
    assert (second.entries["c"].key_line, second.entries["c"].key_column) == (4, 5)
    assert node.value() == {"a": 1, "b": ["x", {"c": "text\n"}]}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("'null'", "null"),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("12:30:00", "12:30:00"),
        ("2019-02-26", "2019-02-26"),
        ("010", 10),
        ("0o10", 8),
        ("0x1f", 31),
        ("1_000", "1_000"),
        ("1e-4", 0.0001),
        (".5", 0.5),
        ("-3.", -3.0),
        ("'1'", "1"),
        ('"a\\tb"', "a\tb"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars_mean_what_the_core_schema_says(written: str, value: Any) -> None:
    read = compose(f"- {written}").value()
    assert (read, type(read[0])) == ([value], type(value))


def test_texts_are_as_they_are_written() -> None:
    assert compose("a: 1.10\nb: [yes, ~]").texts() == {"a": "1.10", "b": ["yes", "~"]}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (BILLION_LAUGHS, 1, "an anchor is refused"),
        ("a: 1\nb: *a", 2, "an alias is refused"),
        ("a: 1\nb: !!python/object/apply:os.abort []", 2, "a tag is refused"),
        ("a: !local x", 1, "a tag is refused"),
        ("%YAML 1.1\n---\na: 1", 1, "a directive is refused"),
        ("%TAG ! tag:x,2000:\n---\na: 1", 1, "a directive is refused"),
        ("a: 1\n---\nb: 1", 2, "a second document begins"),
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' is there twice"),
        ("? [a, b]\n: 1", 1, "a key must be text"),
        *((f"{key}: 1", 1, "a key must be text of 1 to 255 characters") for key in ("k" * 256, '""', '"a\\nb"')),
        ("a: 1\nb: .nan", 2, ".nan is not a number"),
        ("a: -.inf", 1, "-.inf is not a number"),
        ("a: 1e999", 1, "1e999 is too large for a number"),
        ("a: x\0y", 1, "a character that YAML does not allow"),
        ("a: x\nb: \ud800", 2, "a character that YAML does not allow"),
        ('a: "x\\0"', 1, "a NUL or half a character in a text"),
        (b"a: x\nb: \xff", 2, "the text is not UTF-8"),
        ("a: 1\nb: {", 3, "no YAML"),
        ("\t", 1, "no YAML"),
        ("- name: x\n     other: y", 2, "no YAML: mapping values are not allowed"),
    ],
)
def test_what_is_dangerous_or_ambiguous_is_refused_with_its_line(text: str | bytes, line: int, problem: str) -> None:
    with pytest.raises(YamlFault) as caught:
        compose(text).value()
    assert (caught.value.line, caught.value.problem[: len(problem)]) == (line, problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested deeper than 32 levels"),
        ("{a: " * 100_000, "nested deeper than 32 levels"),
        ("\n".join(" " * depth + "- " for depth in range(1000)), "nested deeper than 32 levels"),
        ("\n".join(f"k{number}: 1" for number in range(90_000)), "more than 20,000 values"),
        ("- a\n" * 100_000, "more than 20,000 values"),
        ("".join(f"k{number}: 1\n" for number in range(1_000_000)), "the text is longer than 1,048,576 characters"),
    ],
)
def test_what_is_too_deep_or_too_large_is_refused_soon(text: str, problem: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(YamlFault) as caught:
        compose(text)
    assert caught.value.problem == problem
    assert time.perf_counter() - begun < 5.0


def test_the_limits_can_be_set() -> None:
    assert compose("[[1]]", Limits(max_depth=3)).value() == [[1]]
    with pytest.raises(YamlFault, match="deeper than 2"):
        compose("[[1]]", Limits(max_depth=2))


_LEAVES = st.none() | st.booleans() | st.integers() | st.text("ab: -#\n'\"é1", max_size=8)


@given(
    st.recursive(
        _LEAVES, lambda below: st.lists(below) | st.dictionaries(st.text("abc", min_size=1), below), max_leaves=10
    )
)
def test_what_another_writer_wrote_quoted_is_read_as_it_was(value: Any) -> None:
    written = yaml.safe_dump(value, default_style='"') if isinstance(value, str) else yaml.safe_dump(value)
    assert compose(written).value() == value


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_anything_is_read_or_refused(text: str | bytes) -> None:
    try:
        compose(text).value()
    except YamlFault as fault:
        assert fault.line >= 1  # noqa: PT017  # many are good


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert compose("a: [1, 'x']\nb: {c: ~}").value() == {"a": [1, "x"], "b": {"c": None}}
    with pytest.raises(YamlFault, match="line 2: a tag is refused"):
        compose("a: 1\nb: !x y")


def test_without_pyyaml_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(YamlMissing, match=r"headwater\[yaml\]"):
        compose("a: 1")
