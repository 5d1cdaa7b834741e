"""Any text is read or refused cleanly, and what is read is written as it was (promise 12)."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater import packaging
from headwater.packaging.fields import Field, fields_of
from tests.unit.packaging.documents import EXAMPLES, changed, errors_of

LAUGHS = "name: &a [x, x]\n" + "labels: [*a, *a, *a]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "line 1: an anchor is refused"),
        ("name: !!python/object/apply:os.system [touch /tmp/canary]", "line 1: a tag is refused"),
        ("name: x\nserve: !include /etc/passwd", "line 2: a tag is refused"),
        ("".join(f"key{number}: 1\n" for number in range(1_000_000)), "line 1: the text is longer than 1,048,576"),
        ("".join(f"k{number}: 1\n" for number in range(80_000)), "line 10000: more than 10,000 values"),
        ("train: " + "[" * 100_000, "line 1: nested deeper than 24 levels"),
        ("train:" + "".join("\n" + " " * depth + "a:" for depth in range(1, 100)), "nested deeper than 24 levels"),
        ("name: x\0y", "a character that YAML does not allow"),
        ('name: "x\\0y"', "a NUL or half a character in a text"),
        (b"name: x\nframework: \xff\xfe", "line 2: the text is not UTF-8"),
        (b"\xff\xfen\x00a\x00", "line 1: the text is not UTF-8"),
        ("name: x\nname: y", "line 2: the key 'name' is there twice"),
        ("name: x\n---\nname: y", "line 2: a second document begins"),
        ("name: x\nserve: {servable: true, servable: false}", "line 2: the key 'servable' is there twice"),
        ("name: x\n? [a]\n: 1", "line 2: a key must be text"),
        ('name: x\n"": 1', "line 2: a key must be text of 1 to 255 characters in one line"),
        ('name: x\n"a\\nb": 1', "line 2: a key must be text of 1 to 255 characters in one line"),
        ("name: x\nframework:\n\tname: y", "line 3: no YAML: found character that cannot start any token"),
        ("name: x\nframework: {name: y}\n".encode("utf-16"), "line 1: the text is not UTF-8"),
        ("name: {", "line 2: no YAML"),
        ("data_store_file_paths:\n -  name: a\n       feature_file: b", "line 3: no YAML: mapping values"),
    ],
)
def test_an_attack_is_refused_soon(text: str | bytes, message: str) -> None:
    begun = time.perf_counter()
    assert message in errors_of(text)[""]
    assert time.perf_counter() - begun < 5.0


def test_keys_that_are_long_to_look_at_are_refused_soon() -> None:
    keys = [f"a{' ' * 240}{number}" for number in range(3900)]
    begun = time.perf_counter()
    assert len(errors_of("name: x\n" + "".join(f"'{key}': 1\n" for key in keys))) == 3901
    assert time.perf_counter() - begun < 5.0


def test_of_many_errors_the_text_has_the_first() -> None:
    with pytest.raises(packaging.InvalidPackage) as caught:
        packaging.read("name: x\nframework: {name: y}\n" + "".join(f"key{number}: 1\n" for number in range(1000)))
    assert len(caught.value.remarks) == len(caught.value.violations) == 1000
    assert str(caught.value).endswith("; and 950 more")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfname: caf\xc3\xa9\nframework: {name: x}\n",
        b"name: caf\xc3\xa9\r\nframework: {name: x}\r\n",
        b"---\nname: caf\xc3\xa9\nframework: {name: x}\n...\n",
    ],
    ids=["byte order mark", "CRLF", "with marks"],
)
def test_what_editors_add_changes_nothing(content: bytes) -> None:
    assert packaging.write(packaging.read(content).document) == "name: café\nframework:\n  name: x\n"


CANONICAL = yaml.safe_load(packaging.write(packaging.read((EXAMPLES / "model_packaging.yaml").read_bytes()).document))


def paths_of(value: Any) -> Iterator[tuple[str, ...]]:
    """The way to each field of a document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in entries:
        yield (str(key),)
        yield from ((str(key), *way) for way in paths_of(below))


@pytest.mark.parametrize("wrong", [{"zz": {"zz": 1}}, [["zz"]]], ids=["a mapping", "a list"])
def test_whatever_stands_in_a_field_the_error_names_that_field(wrong: Any) -> None:
    """M-78."""
    for way in paths_of(CANONICAL):
        if "training_params" in way[:-1]:
            continue  # anything may stand there
        path = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in way)[1:]
        found = errors_of(changed(".".join(way), wrong, CANONICAL))
        assert not found or any(each.startswith(path) or (each and path.startswith(each)) for each in found), (
            path,
            found,
        )


AMBIGUOUS = ["1.10", "yes", "null", "~", "1e3", "0x1f", "2019-01-01", "12:30", "=", "<<"]
WORDS = st.text("abc: #-'\"\\\n{}[]é0", max_size=12) | st.sampled_from(AMBIGUOUS)
KEYS = st.text("abc_", min_size=1, max_size=4)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=6,
)


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """Values that a document may have for a field, and some that it may not."""
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "text": st.sampled_from(field.rule.choices or field.rule.usual or ("x",)) | WORDS,
        "boolean": st.booleans(),
        "integer": st.integers(-1, 5),
        "number": st.floats(0, 1e9) | st.integers(0, 9),
        "moment": st.datetimes().map(str) | st.dates().map(str),
        "secret": WORDS | st.just("${KEY}"),
        "any": VALUES,
    }
    if field.kind == "section":
        return sections(field.of)
    if field.kind == "list":
        return st.lists(values_of(field.of), max_size=2)
    if field.kind == "mapping":
        return st.dictionaries(st.text("abc", min_size=1, max_size=3), values_of(field.of), max_size=2)
    return by_kind[field.kind]


def sections(of: type) -> st.SearchStrategy[dict[str, Any]]:
    """Sections with some of their fields."""
    optional = {
        field.key: st.deferred(lambda field=field: values_of(field))  # type: ignore[misc]
        for field in fields_of(of)
        if not field.rule.rest
    }
    required = {field.key: optional.pop(field.key) for field in fields_of(of) if field.rule.required}
    return st.fixed_dictionaries(required, optional=optional)


@pytest.mark.parametrize(
    "kind",
    [packaging.ModelPackage, packaging.ModelDescription, packaging.TrainingRecipe, packaging.ExperimentRecord],
)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_read_is_written_as_it_was(kind: type, data: st.DataObject) -> None:
    text = yaml.safe_dump(data.draw(sections(kind)), sort_keys=False)
    try:
        document = packaging.read(text).document
    except packaging.InvalidPackage as error:
        assert error.remarks  # noqa: PT017  # many are good
        return
    written = packaging.write(document)
    assert packaging.read(written).document == document
    assert packaging.write(packaging.read(written).document) == written
    assert isinstance(yaml.safe_load(written), dict)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_document_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(sorted(EXAMPLES.iterdir()))).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        packaging.read(bytes(content))
    except packaging.InvalidPackage as error:
        assert all(remark.place.line >= 1 for remark in error.remarks)  # noqa: PT017  # many are good
