"""docs/reference/formats.md says what the code says."""

import re

from headwater.files import FORMS, about
from headwater.files.about import dataset_yml, metadata_json
from headwater.files.recognise import BY_EXTENSION
from headwater.files.samples import IMAGES, JSON, NUMBERS, TEXTS
from headwater.files.writers import EXTENSIONS
from headwater.names import SPLIT_ALIASES
from tests.unit.docs.documents import ROOT
from tests.unit.files.test_about import DESCRIBED

TEXT = (ROOT / "docs/reference/formats.md").read_text()


def _table(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its first two lines."""
    section = TEXT.partition(f"# {heading}\n")[2].partition("\n#")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_every_extension_that_is_read_is_listed() -> None:
    assert set(re.findall(r"`(\.[\w.]+)`", str([row[1] for row in _table("In")]))) == set(BY_EXTENSION)


def test_every_extension_that_is_written_is_listed() -> None:
    assert tuple(row[1].strip("`") for row in _table("Out")) == EXTENSIONS


def test_every_ending_of_an_archive_s_members_is_listed() -> None:
    listed = [set(re.findall(r"`(\w+)`", row[0])) for row in _table("WebDataset")]
    assert listed == [TEXTS, NUMBERS, JSON, IMAGES, set()]


def test_every_rule_is_listed_as_the_command_line_lists_it() -> None:
    assert {row[0].strip("`"): row[1] for row in _table("Splits")} == FORMS


def test_every_other_word_for_a_split_is_told() -> None:
    for word, split in SPLIT_ALIASES.items():
        assert re.search(rf"`{word}`[^.]* mean `{split}`", TEXT)


def test_every_field_of_the_documents_is_listed() -> None:
    assert about.DOCUMENTS == ("metadata.json", "dataset.yml", "dataset.yaml")
    written = re.findall(r'^  "(\w+)":', metadata_json.text(DESCRIBED), re.MULTILINE)
    listed = re.findall(r"`(\w+)`", str([row[0] for row in _table("metadata.json")]))
    assert listed == [*written, "samples"]  # which only the short form has
    fields = re.findall(r"^(\w+):", dataset_yml.text(DESCRIBED), re.MULTILINE)
    assert [row[0].strip("`") for row in _table("dataset.yml")] == fields
