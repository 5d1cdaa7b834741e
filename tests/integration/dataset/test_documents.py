"""metadata.json and dataset.yml: from a folder into a version and out again (R-31, R-32, R-33, M-28)."""

import asyncio
import json
from pathlib import Path

import pytest

from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2
from headwater.datasets import documents, history
from headwater.errors import HeadwaterError, InvalidArgument
from headwater.files import Source
from headwater.files.about import DocumentInvalid
from tests.unit.files.test_webdataset import tar

SAMPLES = {"train": 5, "val": 2, "test": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three archives and what is said about them."""
    root = tmp_path / "tiny"
    root.mkdir()
    said = []
    for name, count in SAMPLES.items():
        content = tar([(f"{index:03}.cls", b"%d" % index) for index in range(count)])
        (root / f"{name}.tar").write_bytes(content)
        uri = f"s3://ml-datasets/datasets/tiny/v1.0.0/{name}.tar"
        said.append({"name": name, "uri": uri, "samples": count, "size_bytes": len(content)})
    say(root, splits=said, statistics={"total_samples": 8, "image_size": [8, 8], "num_classes": 5})
    return root


def say(folder: Path, **changes: object) -> None:
    path = folder / "metadata.json"
    said = json.loads(path.read_text()) if path.exists() else {
        "dataset_id": "tiny",
        "version": "v1.0.0",
        "description": "Tiny",
        "author": "ml-team",
        "created_at": "2025-01-02T09:00:00Z",
        "provenance": {"source": "http://example.org", "citation": "Us, 2025", "license": "CC0"},
    }  # fmt: skip
    path.write_text(json.dumps(said | changes))


async def test_a_folder_of_archives_becomes_a_version_with_what_is_said_of_it(
    connection: Connection, folder: Path
) -> None:
    """R-31, R-33: `val` is the split `validation`."""

    def story() -> None:
        version = datasets.push(connection, "tiny", Source(folder)).version
        assert version.name.endswith("/tiny/versions/v1.0.0")
        assert {split.name: split.row_count for split in version.splits} == {"train": 5, "validation": 2, "test": 1}
        assert (version.description, version.provenance.license) == ("Tiny", "CC0")
        assert list(version.declared_statistics.image_size) == [8, 8]
        assert "author ml-team, created_at 2025-01-02T09:00:00Z" in version.message

        written = json.loads(datasets.document(connection, "tiny@v1.0.0", "metadata.json"))
        assert written["statistics"]["total_samples"] == 8
        assert written["statistics"]["num_classes"] == 5
        assert [(split["name"], split["samples"]) for split in written["splits"]] == [
            ("test", 1),
            ("train", 5),
            ("validation", 2),
        ]
        assert written["splits"][2]["uri"] == "s3://datasets/tiny/v1.0.0/validation.tar"

    await asyncio.to_thread(story)


async def test_pushing_the_folder_again_says_anew_what_has_changed(connection: Connection, folder: Path) -> None:
    """R-32: the metadata of a version is registered or updated."""

    def story() -> None:
        datasets.push(connection, "tiny", Source(folder))
        say(folder, description="Tinier", provenance={"license": "MIT"})
        again = datasets.push(connection, "tiny", Source(folder))
        assert not again.created
        stored = datasets.get_version(connection, "tiny@v1.0.0")
        assert (stored.description, stored.provenance.license) == ("Tinier", "MIT")

    await asyncio.to_thread(story)


async def test_rows_that_are_not_what_was_said_make_no_version(connection: Connection, folder: Path) -> None:
    def story() -> None:
        splits = json.loads((folder / "metadata.json").read_text())["splits"]
        say(folder, splits=[splits[0] | {"samples": 6}, *splits[1:]], statistics={})
        with pytest.raises(DocumentInvalid, match="samples of train is 6; it is 5"):
            datasets.push(connection, "tiny", Source(folder))
        say(folder, splits=[splits[0] | {"size_bytes": 6}, *splits[1:]])
        with pytest.raises(DocumentInvalid, match="size_bytes of train is 6"):
            datasets.push(connection, "tiny", Source(folder))
        say(folder, splits=splits)
        with pytest.raises(DocumentInvalid, match="is about tiny and not about other"):
            datasets.push(connection, "other", Source(folder))
        with pytest.raises(InvalidArgument, match=r"is about v1\.0\.0 and not about v2\.0\.0"):
            datasets.push(connection, "tiny", Source(folder), version="v2.0.0")
        assert list(datasets.list_versions(connection, "tiny")) == []

    await asyncio.to_thread(story)


async def test_dataset_yml_goes_in_and_comes_out(connection: Connection, tmp_path: Path) -> None:
    """M-28."""

    def story() -> None:
        root = tmp_path / "logs"
        root.mkdir()
        (root / "rows.csv").write_text("a\n1\n2\n")
        (root / "dataset.yml").write_text(
            "mlSpecVersion: 0.0.1\nname: logs\ndescription: Error Logs\nversion: 1.0.1\nstate: deprecated\n"
            "isDeprecated: true\nisVisible: false\ntags:\n- key: X\n  value: '100'\nversionNotes: first\n"
        )
        datasets.push(connection, "logs", Source(root))
        stored = datasets.get_version(connection, "logs@v1.0.1")
        assert (stored.description, stored.message) == ("Error Logs", "first")
        assert stored.state == datasets_pb2.DatasetVersion.STATE_DEPRECATED
        dataset = datasets.get(connection, "logs")
        assert (dict(dataset.tags), dataset.hidden) == ({"X": "100"}, True)
        written = datasets.document(connection, "logs@v1.0.1", "dataset.yml")
        for line in ("name: logs", "version: 1.0.1", "state: deprecated", "isVisible: false", "versionNotes: first"):
            assert line in written.splitlines()

    await asyncio.to_thread(story)


async def test_a_document_changes_no_version_that_was_there_before(connection: Connection, tmp_path: Path) -> None:
    """Somebody may have put it in or out of use since the document was written."""

    def story() -> None:
        root = tmp_path / "logs"
        root.mkdir()
        (root / "rows.csv").write_text("a\n1\n2\n")
        (root / "dataset.yml").write_text("mlSpecVersion: 0.0.1\nname: logs\nversion: 1.0.0\nstate: active\n")
        datasets.push(connection, "logs", Source(root))
        history.archive(connection, "logs@v1.0.0", "wrong")
        with pytest.warns(
            documents.StateNotChanged, match=r"v1\.0\.0 is archived and stays so, though dataset.yml says"
        ):
            datasets.push(connection, "logs", Source(root))
        assert datasets.get_version(connection, "logs@v1.0.0").state == datasets_pb2.DatasetVersion.STATE_ARCHIVED
        (root / "dataset.yml").write_text("mlSpecVersion: 0.0.1\nname: logs\nversion: 4.0.0\nstate: archived\n")
        with pytest.raises(HeadwaterError) as refusal:
            datasets.push(connection, "logs", Source(root))
        assert refusal.value.reason == "COMMIT_HAS_VERSION"

    await asyncio.to_thread(story)


async def test_an_exported_folder_is_the_same_version_when_it_is_pushed(
    connection: Connection, folder: Path, tmp_path: Path
) -> None:
    """N-11, with the document beside the archives."""

    def story() -> None:
        digest = datasets.push(connection, "tiny", Source(folder)).version.digest
        out = tmp_path / "out"
        exported = datasets.export_version(connection, "tiny", out, format="webdataset", document="metadata.json")
        assert sorted(path.name for path in out.iterdir()) == [
            "metadata.json", "test.tar", "train.tar", "validation.tar",
        ]  # fmt: skip
        assert sum(each.row_count for each in exported) == 8
        again = datasets.push(connection, "tiny", Source(out))
        assert (again.created, again.version.digest) == (False, digest)

    await asyncio.to_thread(story)


async def test_an_unknown_document_or_format_is_refused(connection: Connection, tmp_path: Path) -> None:
    def story() -> None:
        with pytest.raises(InvalidArgument, match=r"not one of metadata\.json, dataset\.yml"):
            datasets.document(connection, "tiny", "README")
        with pytest.raises(InvalidArgument, match="not one of parquet"):
            datasets.export_version(connection, "tiny", tmp_path / "x", format="xlsx")

    await asyncio.to_thread(story)
