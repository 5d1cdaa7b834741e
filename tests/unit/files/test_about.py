"""metadata.json (R-32, R-33) and dataset.yml (M-28)."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import HeadwaterError
from headwater.files import Source, split_by
from headwater.files.about import (
    About,
    DeclaredSplit,
    Described,
    DocumentInvalid,
    StoredSplit,
    dataset_yml,
    metadata_json,
)
from headwater.marked_yaml import YamlMissing
from tests.unit.files.conftest import write
from tests.unit.files.test_images import rows_of
from tests.unit.files.test_webdataset import tar

IMAGENET: dict[str, Any] = {
    "dataset_id": "imagenet",
    "version": "v1.0.0",
    "description": "ImageNet ILSVRC 2012",
    "author": "ml-team",
    "created_at": "2025-01-02T09:00:00Z",
    "provenance": {"source": "http://image-net.org", "citation": "Russakovsky et al., 2015", "license": "Custom"},
    "splits": [
        {
            "name": name,
            "uri": f"s3://ml-datasets/datasets/imagenet/v1.0.0/{name}.tar",
            "samples": samples,
            "size_bytes": size_bytes,
        }
        for name, samples, size_bytes in (
            ("train", 1_000_000, 134_217_728_000),
            ("val", 50_000, 6_710_886_400),
            ("test", 100_000, 13_421_772_800),
        )
    ],
    "statistics": {
        "total_samples": 1_150_000,
        "total_size_bytes": 154_350_387_200,
        "image_size": [224, 224],
        "num_classes": 1000,
    },
}
MLSPEC = """\
mlSpecVersion: 0.0.1
id: 592f0c1c-72ae-4236-9202-7e6aff1954f4
location: https://internal.contoso.com/datasets/90d47e48-9105-49d0-a159-5c029f97ecd0
description: Error Logs 2019-08-22
dateGenerated: 2019-08-22
isDeprecated: false
isReadOnly: true
isVisible: true
name: foo
preview: ref
profile: ref
state: active
tags:
- key: X
  value: '100'
version: 1.0.1
versionedBy: BobSmith
versionedOn: 2019-08-21
versionNotes: None
"""
DESCRIBED = Described(
    dataset="digits",
    uid="0190-uid",
    version="v1.2.0",
    description='Digits: "ten" of them\nand more',
    author="ada",
    created_at="2025-01-02T09:00:00Z",
    message="second",
    source="http://example.org",
    citation="Ada, 2025",
    license="CC0-1.0",
    image_size=(8, 8),
    num_classes=10,
    tags={"a": "1", "é": "yes"},
    is_hidden=False,
    state="active",
    splits=(StoredSplit("train", 10, 1000), StoredSplit("validation", 2, 200)),
    profile="",
)


def changed(path: str, value: object) -> bytes:
    """metadata.json with one field changed or added."""
    document = json.loads(json.dumps(IMAGENET))
    at = document
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        at = at[step]
    at[last] = value
    return json.dumps(document).encode()


def test_every_field_of_metadata_json_is_read() -> None:
    """R-33: its own numbers add up to 1,150,000 samples and 154,350,387,200 bytes."""
    assert metadata_json.parse(json.dumps(IMAGENET).encode()) == About(
        document="metadata.json",
        dataset="imagenet",
        version="v1.0.0",
        description="ImageNet ILSVRC 2012",
        message="As its metadata.json has it: author ml-team, created_at 2025-01-02T09:00:00Z.",
        source="http://image-net.org",
        citation="Russakovsky et al., 2015",
        license="Custom",
        image_size=(224, 224),
        num_classes=1000,
        splits=(
            DeclaredSplit("train", "train", "train.tar", 1_000_000, 134_217_728_000),
            DeclaredSplit("validation", "val", "val.tar", 50_000, 6_710_886_400),
            DeclaredSplit("test", "test", "test.tar", 100_000, 13_421_772_800),
        ),
        samples=1_150_000,
    )


def test_the_short_form_is_read() -> None:
    """R-32."""
    content = b'{"version": "v1.0.0", "created_at": "2025-01-02T09:00:00.123456", "author": "me", "samples": 1000000}'
    about = metadata_json.parse(content)
    assert (about.version, about.samples, about.splits) == ("v1.0.0", 1_000_000, ())


def test_metadata_json_is_written_as_it_is_read() -> None:
    written = json.loads(metadata_json.text(DESCRIBED))
    assert list(written) == list(IMAGENET)
    assert list(written["splits"][0]) == list(IMAGENET["splits"][0])
    assert written["splits"][1]["uri"] == "s3://datasets/digits/v1.2.0/validation.tar"
    assert written["statistics"] == {
        "total_samples": 12,
        "total_size_bytes": 1200,
        "image_size": [8, 8],
        "num_classes": 10,
    }
    about = metadata_json.parse(metadata_json.text(DESCRIBED).encode())
    assert (about.dataset, about.version, about.license) == ("digits", "v1.2.0", "CC0-1.0")
    unknown = metadata_json.text(dataclasses.replace(DESCRIBED, image_size=(), num_classes=0))
    assert metadata_json.parse(unknown.encode()).num_classes == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed("licence", "x"), "licence is not known"),
        (changed("provenance.licence", "x"), "provenance.licence is not known; did you mean license?"),
        (changed("splits.0.sampels", 1), r"splits\[0\].sampels is not known; did you mean samples?"),
        (changed("statistics.total_samples", 7), "total_samples is 7, and the splits add up to 1150000"),
        (changed("statistics.total_size_bytes", 7), "total_size_bytes is 7, and the splits add up to 154350387200"),
        (changed("samples", 7), "samples is 7, and statistics.total_samples 1150000"),
        (changed("version", "one"), "version is 'one'"),
        (changed("dataset_id", "../x"), "dataset_id is '../x'"),
        (changed("dataset_id", "other"), r"splits\[0\].uri is .*not of the split train of other@v1.0.0"),
        (changed("version", "v2.0.0"), "not of the split train of imagenet@v2.0.0"),
        (changed("splits.1.name", "train"), "splits\\[1\\].uri is .*not of the split train"),
        (changed("splits.1.name", "a/b"), r"splits\[1\].name is 'a/b'"),
        (changed("splits.1", {"name": "train"}), "the split train is there twice"),
        (changed("splits.1", {"name": "validation"}), ""),
        (changed("splits.0.name", None), r"splits\[0\].name is missing"),
        (changed("splits.0.uri", "http://x/train.tar"), "it must be s3://datasets/"),
        (changed("splits.0.uri", "s3://datasets/imagenet/v1.0.0/../train.tar"), "it must be s3://datasets/"),
        (changed("splits.0.samples", -1), r"splits\[0\].samples must be a whole number"),
        (changed("splits.0.samples", 1.5), "must be a whole number"),
        (changed("splits.0.samples", True), "must be a whole number"),
        (changed("splits", {"train": 1}), "splits must be a list"),
        (changed("splits", [1]), r"splits\[0\] must be an object"),
        (changed("created_at", "yesterday"), "created_at is 'yesterday': it must be a date"),
        (changed("description", 7), "description must be a text"),
        (changed("description", "x" * 40_000), "at most 32768 characters"),
        (changed("statistics.image_size", [224, 0]), "image_size must hold whole numbers above 0"),
        (changed("statistics.image_size", [1, 2, 3, 4]), "at most 3 numbers"),
        (b"[]", "it must be an object"),
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"version": "v1.0.0", "version": "v2.0.0"}', "version is there twice"),
    ],
)
def test_a_field_that_is_wrong_is_named(content: bytes, said: str) -> None:
    if not said:  # another word for a split is no contradiction
        metadata_json.parse(content.replace(b"154350387200", b"147639500800").replace(b"1150000", b"1100000"))
        return
    with pytest.raises(DocumentInvalid, match=said):
        metadata_json.parse(content)


def test_every_field_of_dataset_yml_is_read() -> None:
    """M-28."""
    about = dataset_yml.parse(MLSPEC.encode())
    assert about == About(
        document="dataset.yml",
        dataset="foo",
        version="v1.0.1",
        description="Error Logs 2019-08-22",
        message="As its dataset.yml has it: id 592f0c1c-72ae-4236-9202-7e6aff1954f4, dateGenerated 2019-08-22, "
        "preview ref, profile ref, versionedBy BobSmith, versionedOn 2019-08-21.",
        source="https://internal.contoso.com/datasets/90d47e48-9105-49d0-a159-5c029f97ecd0",
        tags={"X": "100"},
        is_hidden=False,
        state="active",
    )


def test_dataset_yml_is_written_as_it_is_read() -> None:
    written = dataset_yml.text(DESCRIBED)
    assert [line.split(":")[0] for line in written.splitlines() if line and line[0] not in " -"] == [
        line.split(":")[0] for line in MLSPEC.splitlines() if line and line[0] not in " -"
    ]
    about = dataset_yml.parse(written.encode())
    assert (about.dataset, about.version, about.description) == ("digits", "v1.2.0", DESCRIBED.description)
    assert about.tags == DESCRIBED.tags
    assert (about.state, about.is_hidden) == ("active", False)
    assert dataset_yml.parse(dataset_yml.text(dataclasses.replace(DESCRIBED, state="archived")).encode()).state


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("isVisible", "isVisibel", "isVisibel is not known; did you mean isVisible?"),
        ("isDeprecated: false", "isDeprecated: true", "isDeprecated is true, and state active"),
        ("isDeprecated: false", "isDeprecated: perhaps", "must be true or false"),
        ("isReadOnly: true", "isReadOnly: false", "a version can never be written to"),
        ("state: active", "state: gone", "state is 'gone' and must be active or deprecated or archived"),
        ("0.0.1", "9", "mlSpecVersion is '9'"),
        ("version: 1.0.1", "version: new", "version is 'new'"),
        ("name: foo", "name: foo/bar", "name is 'foo/bar'"),
        ("2019-08-21", "soon", "versionedOn is 'soon'"),
        ("key: X", "kye: X", r"tags\[0\].kye is not known; did you mean key?"),
        ("- key: X", "- key: X\n  value: a\n- key: X", r"tags\[1\].key is 'X', which is there twice"),
        ("name: foo", "name: &a foo", "line 9: an anchor is refused"),
        ("name: foo", "name: *a", "line 9: an alias is refused"),
        ("name: foo", "name: !!python/object/apply:os.abort []", "line 9: a tag is refused"),
        ("mlSpec", "%YAML 1.1\n---\nmlSpec", "line 1: a directive is refused"),
        ("name: foo", "name: foo\nname: bar", "line 10: the key .name. is there twice"),
        ("name: foo", "name: [[[[[[]]]]]]", "line 9: nested deeper than 4 levels"),
        ("name: foo", "name: " + "[" * 3000, "DOCUMENT|no YAML|nested"),
        ("name: foo", "name: {a: 1}", "name must be a text"),
        ("name: foo", "name: foo\n---\nb: 1", "line 10: a second document begins"),
        ("name: foo", "\t", "no YAML"),
        (MLSPEC, "- a", "it must be an object"),
        (MLSPEC, "".join(f"k{i}: v\n" for i in range(100_000)), "more than 5,000 values"),
    ],
)
def test_a_line_that_is_wrong_is_named(old: str, new: str, said: str) -> None:
    with pytest.raises(DocumentInvalid, match=said):
        dataset_yml.parse(MLSPEC.replace(old, new, 1).encode())


def test_without_pyyaml_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(YamlMissing, match=r"headwater\[yaml\]"):
        dataset_yml.parse(MLSPEC.encode())


@given(st.data())
def test_any_document_is_read_or_refused_cleanly(data: st.DataObject) -> None:
    is_yaml = data.draw(st.booleans())
    content = bytearray(MLSPEC.encode() if is_yaml else json.dumps(IMAGENET).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        (dataset_yml if is_yaml else metadata_json).parse(bytes(content))
    except HeadwaterError as error:
        assert error.reason == "DATASET_DOCUMENT_INVALID"  # noqa: PT017  # many are still good


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """R-31: three archives and what is said about them."""
    files = {f"{name}.tar": tar([(f"{i}.cls", b"1") for i in range(n)]) for name, n in
             (("train", 5), ("val", 2), ("test", 1))}  # fmt: skip
    said = [
        {"name": name.removesuffix(".tar"), "uri": f"s3://datasets/tiny/v1.0.0/{name}", "size_bytes": len(content)}
        for name, content in files.items()
    ]
    document = {"dataset_id": "tiny", "version": "v1.0.0", "splits": said}
    return write(tmp_path / "tiny", files | {"metadata.json": json.dumps(document).encode()})


def test_a_folder_with_a_document_has_the_splits_that_it_says(folder: Path) -> None:
    """R-31."""
    source = Source(folder)
    assert source.splits == ("train", "validation", "test")
    assert [len(rows_of(source, split)) for split in source.splits] == [5, 2, 1]
    assert source.about is not None
    source.about.check_rows({"train": (5, 1), "validation": (2, 1), "test": (1, 1)}, source.file_bytes)
    assert [file.path for file in source.source_files()] == ["metadata.json", "test.tar", "train.tar", "val.tar"]


def test_rows_that_are_not_what_was_said_are_refused(folder: Path) -> None:
    about = metadata_json.parse(json.dumps(IMAGENET).encode())
    rows = {"train": (1_000_000, 134_217_728_000), "validation": (50_000, 1), "test": (100_000, 1)}
    files = {"validation": 6_710_886_400, "test": 13_421_772_800}
    about.check_rows(rows, files)  # a size may be that of the rows or that of the files
    with pytest.raises(DocumentInvalid, match="says that samples of val is 50000; it is 49999"):
        about.check_rows(rows | {"validation": (49_999, 1)}, files)
    with pytest.raises(DocumentInvalid, match="says that size_bytes of test is 13421772800; it is 12"):
        about.check_rows(rows, files | {"test": 12})
    (folder / "val.tar").unlink()
    with pytest.raises(DocumentInvalid, match="speaks of the split validation, but there are no rows of it"):
        Source(folder)
    write(folder, {"val.tar": tar([]), "debug.tar": tar([])})
    with pytest.raises(DocumentInvalid, match="does not speak of the split debug, but there are rows of it"):
        Source(folder)


def test_a_document_of_another_dataset_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="is about imagenet and not about digits"):
        metadata_json.parse(json.dumps(IMAGENET).encode()).check_dataset("digits")


def test_two_documents_are_one_too_many(folder: Path) -> None:
    write(folder, {"dataset.yml": MLSPEC.encode()})
    with pytest.raises(DocumentInvalid, match="only one of them"):
        Source(folder)


def test_a_document_is_a_file_like_any_other_where_files_are_rows(folder: Path) -> None:
    source = Source(folder, kind="files")
    assert source.about is None
    assert len(rows_of(source)) == 4
    assert len(rows_of(Source(folder / "metadata.json"))) == 1  # JSON lines, of which it is one


def test_a_large_document_is_not_read(folder: Path) -> None:
    write(folder, {"metadata.json": b" " * (2 << 20)})
    with pytest.raises(DocumentInvalid, match="2097152 bytes"):
        Source(folder, split_by("none"))
