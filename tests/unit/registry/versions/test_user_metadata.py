"""What a maker says as texts and what it means (R-19)."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.values import Json
from services.registry.versions.errors import InvalidUserMetadata, MetadataConflict
from services.registry.versions.model import NewVersion
from services.registry.versions.user_metadata import described, typed

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def test_the_metadata_of_the_guide_is_typed() -> None:
    """R-19, K-03."""
    assert typed(
        {
            "framework": "pytorch",
            "params": "25000000",
            "accuracy": "0.92",
            "training_date": "2025-01-02",
            "hyperparameters": '{"learning_rate": 0.001, "epochs": 100}',
            "team": "vision",
        }
    ) == {
        "framework": "pytorch",
        "params": 25_000_000,
        "accuracy": 0.92,
        "training_date": "2025-01-02",
        "hyperparameters": {"learning_rate": 0.001, "epochs": 100},
        "team": "vision",
    }


@given(st.integers(0, 2**63 - 1))
def test_a_count_is_read_exactly(count: int) -> None:
    assert typed({"params": str(count)}) == {"params": count}


@pytest.mark.parametrize(
    ("text", "count"), [("25M", 25_000_000), ("1.5B", 1_500_000_000), ("350K", 350_000), ("0.125M", 125_000)]
)
def test_thousands_millions_and_billions_are_understood(text: str, count: int) -> None:
    assert typed({"params": text}) == {"params": count}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("params", "many"),
        ("params", "-1"),
        ("params", "1.5"),
        ("params", "25m"),
        ("params", "1.2345678K"),
        ("params", "9223372036854775808"),
        ("params", "9999999999999999999T"),
        ("params", "٢٥"),
        ("accuracy", "92"),
        ("accuracy", "nan"),
        ("accuracy", "-0.1"),
        ("accuracy", "101%"),
        ("accuracy", ""),
        ("training_date", "2025-02-30"),
        ("training_date", "yesterday"),
        ("training_date", "2025-01-02T99:00"),
        ("hyperparameters", "learning_rate=1"),
        ("hyperparameters", "[1]"),
        ("hyperparameters", '{"a": NaN}'),
        ("hyperparameters", '{"a": 1e999}'),
        ("hyperparameters", '{"a": ' + "9" * 5000 + "}"),
        ("hyperparameters", '{"a": 1, "a": 2}'),
        ("hyperparameters", '{"": 1}'),
        ("hyperparameters", '{"a": "\\u0000"}'),
        ("hyperparameters", '{"a": ["\\ud800"]}'),
        ("hyperparameters", '{"a": ' + "[" * 40 + "]" * 40 + "}"),
        ("hyperparameters", '{"a": ' * 33 + "1" + "}" * 33),
        ("hyperparameters", '{"a": ' * 32 + "{}" + "}" * 32),
        ("hyperparameters", '{"a": ' + "[" * 100_000),
        ("framework", "  "),
        ("task", "t" * 256),
    ],
)
def test_a_value_that_its_key_cannot_have_is_refused_and_the_key_is_named(key: str, text: str) -> None:
    with pytest.raises(InvalidUserMetadata, match=f"^{key}: ") as refused:
        typed({key: text})
    assert refused.value.metadata["key"] == key


def test_percent_is_understood() -> None:
    assert typed({"accuracy": "92%"}) == {"accuracy": 0.92}


def test_keys_are_those_of_s3_in_lower_case() -> None:
    assert typed({"Framework": "pytorch"}) == {"framework": "pytorch"}
    with pytest.raises(InvalidUserMetadata, match="twice"):
        typed({"Framework": "pytorch", "framework": "onnx"})


def test_the_size_is_bounded() -> None:
    with pytest.raises(InvalidUserMetadata, match="at most"):
        typed({str(number): "x" * 65_536 for number in range(5)})


@given(st.dates(datetime.date(1, 1, 1)))
def test_every_day_is_a_training_date(day: datetime.date) -> None:
    assert typed({"training_date": day.isoformat()}) == {"training_date": day.isoformat()}


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_hyperparameters_are_read_as_they_are_written(values: dict[str, Json]) -> None:
    assert typed({"hyperparameters": json.dumps(values)}) == {"hyperparameters": values}


def _refusal(key: str, text: str) -> InvalidUserMetadata | None:
    try:
        typed({key: text})
    except InvalidUserMetadata as error:
        return error
    return None


@given(st.sampled_from(["params", "accuracy", "training_date", "hyperparameters"]), st.text(max_size=40))
def test_any_text_is_understood_or_refused_by_name(key: str, text: str) -> None:
    refusal = _refusal(key, text)
    assert refusal is None or refusal.metadata["key"] == key


def _new(**said: str) -> NewVersion:
    return NewVersion({}, None, "pytorch", "", "", "", {"lr": 0.1}, user_metadata=said)


def test_what_only_the_metadata_says_is_taken_from_it() -> None:
    new, metadata = described(
        _new(architecture="resnet50", task="image-classification", hyperparameters='{"epochs": 3}')
    )
    assert (new.framework_name, new.architecture, new.task) == ("pytorch", "resnet50", "image-classification")
    assert new.hyperparameters == {"lr": 0.1, "epochs": 3}
    assert metadata["task"] == "image-classification"


def test_the_same_said_twice_is_no_conflict() -> None:
    new, _ = described(_new(framework="PyTorch", hyperparameters='{"lr": 0.1}'))
    assert (new.framework_name, new.hyperparameters) == ("pytorch", {"lr": 0.1})


@pytest.mark.parametrize(("key", "text"), [("framework", "tensorflow"), ("hyperparameters", '{"lr": 1}')])
def test_what_contradicts_what_is_said_elsewhere_is_refused_by_name(key: str, text: str) -> None:
    with pytest.raises(MetadataConflict, match=r"framework|lr"):
        described(_new(**{key: text}))
