"""docs/reference/model-package.md says what the code says."""

import re
from typing import Any

import pytest

from headwater import packaging
from headwater.packaging import plugins, spelling
from headwater.packaging.documents import LIMITS
from headwater.packaging.fields import fields_of
from headwater.packaging.general import PURPOSES
from headwater.packaging.stages import Convert, Score, Serve, Train
from tests.unit.docs.documents import ROOT

TEXT = (ROOT / "docs/reference/model-package.md").read_text()


def section(heading: str) -> str:
    return TEXT.partition(f"# {heading}\n")[2].partition("\n#")[0]


def listed(heading: str) -> list[str]:
    """The fields in the first column of the table under a heading."""
    rows = [line for line in section(heading).splitlines() if line.startswith("| `")]
    return [field for row in rows for field in re.findall(r"`(\w+)`", row.split(" | ")[0])]


@pytest.mark.parametrize(
    ("heading", "of"),
    [
        ("Model package", packaging.ModelPackage),
        ("train", Train),
        ("serve", Serve),
        ("score", Score),
        ("convert", Convert),
        ("Model description", packaging.ModelDescription),
        ("Training recipe", packaging.TrainingRecipe),
        ("Record of an experiment", packaging.ExperimentRecord),
    ],
)
def test_every_field_of_a_section_is_listed(heading: str, of: type[Any]) -> None:
    assert sorted(listed(heading)) == sorted(field.key for field in fields_of(of))


def test_every_purpose_and_limit_is_listed() -> None:
    assert all(f"`{purpose}`" in section("Model package") for purpose in PURPOSES)
    assert all(f"{limit:,} " in TEXT for limit in (LIMITS.max_characters, LIMITS.max_values, LIMITS.max_depth))


def test_every_option_of_each_type_of_data_is_listed() -> None:
    for name, plugin in plugins.PLUGINS.items():
        options = ", ".join(f"`{option}`" for option in plugin.options)
        assert f"`{name}` has {options}" in section("Training recipe")


def test_every_misspelt_word_is_listed() -> None:
    written = section("Spellings")
    assert all(word in written for word in (*spelling.WORDS, *spelling.LATENCIES))
