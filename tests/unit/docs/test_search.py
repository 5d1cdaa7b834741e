"""docs/reference/search.md names the fields that searches know."""

import re

import pytest

from services.registry.experiments.fields import FIELDS as EXPERIMENTS
from services.registry.logged_models.searching import FIELDS as LOGGED_MODELS
from services.registry.models.searching import FIELDS as MODELS
from services.registry.runs.fields import FIELDS as RUNS
from services.registry.search.fields import Fields
from services.registry.versions.searching import FIELDS as MODEL_VERSIONS
from tests.unit.docs.documents import ROOT


@pytest.mark.parametrize(
    ("noun", "fields"),
    [
        ("runs", RUNS),
        ("experiments", EXPERIMENTS),
        ("models", MODELS),
        ("model versions", MODEL_VERSIONS),
        ("logged models", LOGGED_MODELS),
    ],
)
def test_the_fields_are_those_of_the_code(noun: str, fields: Fields) -> None:
    text = (ROOT / "docs/reference/search.md").read_text().partition("\n## Fields\n")[2]
    [row] = [line for line in text.splitlines() if line.startswith(f"| {noun} |")]
    plain, maps, aliases = (re.findall("`([^`]+)`", cell) for cell in row.strip("| ").split("|")[1:])
    assert plain == list(fields.plain)
    assert maps == [f"{name}.…" for name in fields.maps]
    assert aliases == list(fields.aliases)
