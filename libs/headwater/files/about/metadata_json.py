"""metadata.json: what a version is, in one JSON object. docs/reference/formats.md has every field."""

import json
from collections.abc import Sequence
from typing import Any

from headwater.errors import InvalidArgument
from headwater.files.about.fields import Fields, moment
from headwater.files.about.model import About, DeclaredSplit, Described, DocumentInvalid
from headwater.files.splits.names import split_of_file, unambiguous
from headwater.names import check_segment, check_version, split_name

NAME = "metadata.json"


def parse(content: bytes) -> About:
    """What the document says.

    Raises:
        DocumentInvalid: naming the field that is unknown, malformed, or contradicts another.
    """
    try:
        values = json.loads(content.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid(f"{NAME} is no JSON: {error}.") from error
    fields = Fields(values, NAME)
    dataset = fields.text("dataset_id", lambda text: check_segment(text, "dataset_id"))
    version = fields.text("version", check_version)
    description = fields.text("description")
    author, created_at = fields.text("author"), fields.text("created_at", moment)
    samples = fields.count("samples")
    provenance = fields.object("provenance")
    source, citation, license_ = (
        provenance.text("source", max_length=4096),
        provenance.text("citation"),
        provenance.text("license", max_length=4096),
    )
    provenance.done()
    splits = tuple(_split(split, dataset, version) for split in fields.objects("splits"))
    _check_names(splits)
    statistics = fields.object("statistics")
    total = _total(statistics, "total_samples", [split.samples for split in splits], bool(splits))
    _total(statistics, "total_size_bytes", [split.size_bytes for split in splits], bool(splits))
    image_size, num_classes = statistics.counts("image_size", 3), statistics.count("num_classes")
    statistics.done()
    fields.done()
    if samples is not None and total is not None and samples != total:
        fields.fail("samples", f"is {samples}, and statistics.total_samples {total}")
    return About(
        document=NAME,
        dataset=dataset,
        version=version,
        description=description,
        message=told(NAME, {"author": author, "created_at": created_at}),
        source=source,
        citation=citation,
        license=license_,
        image_size=image_size,
        num_classes=num_classes or 0,
        splits=splits,
        samples=samples if total is None else total,
    )


def text(described: Described) -> str:
    """The document of a stored version. What is not known is null."""
    document = {
        "dataset_id": described.dataset,
        "version": described.version,
        "description": described.description,
        "author": described.author,
        "created_at": described.created_at,
        "provenance": {
            "source": described.source,
            "citation": described.citation,
            "license": described.license,
        },
        "splits": [
            {
                "name": split.name,
                "uri": f"s3://datasets/{described.dataset}/{described.version}/{split.name}.tar",
                "samples": split.samples,
                "size_bytes": split.size_bytes,
            }
            for split in described.splits
        ],
        "statistics": {
            "total_samples": sum(split.samples for split in described.splits),
            "total_size_bytes": sum(split.size_bytes for split in described.splits),
            "image_size": list(described.image_size) or None,
            "num_classes": described.num_classes or None,
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def told(document: str, values: dict[str, str]) -> str:
    """What a document says that the server says itself of a version, for the version's message."""
    said = ", ".join(f"{name} {value}" for name, value in values.items() if value)
    return f"As its {document} has it: {said}." if said else ""


def _split(fields: Fields, dataset: str, version: str) -> DeclaredSplit:
    name = fields.text("name")
    if not name:
        fields.fail("name", "is missing")
    try:
        split = split_name(name)
    except InvalidArgument as error:
        fields.fail("name", f"is {name[:100]!r}: {error.message}")
    file = fields.text("uri", lambda uri: _file(uri, split, dataset, version), max_length=4096)
    samples, size_bytes = fields.count("samples"), fields.count("size_bytes")
    fields.done()
    return DeclaredSplit(split, name, file, samples, size_bytes)


def _file(uri: str, split: str, dataset: str, version: str) -> str:
    """The file that a URI names: ``s3://datasets/<id>/<version>/<split>.tar``, in whatever bucket."""
    scheme, _, rest = uri.partition("://")
    path = rest.split("/")
    if scheme != "s3" or len(path) < 4 or path[-4] != "datasets":
        raise ValueError("it must be s3://datasets/<dataset_id>/<version>/<split>.tar, in whatever bucket")
    _, written_dataset, written_version, file = path[-4:]
    stem = file.partition(".")[0]
    if dataset not in ("", written_dataset) or version not in ("", written_version) or split_of_file(stem) != split:
        raise ValueError(f"it is not of the split {split} of {dataset or written_dataset}@{version or written_version}")
    return file


def _check_names(splits: Sequence[DeclaredSplit]) -> None:
    names = [split.written_name for split in splits]
    try:
        unambiguous(names)
    except InvalidArgument as error:
        raise DocumentInvalid(f"{NAME}: {error.message}", field="splits") from error
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DocumentInvalid(f"{NAME}: the split {twice} is there twice.", field="splits")


def _total(statistics: Fields, name: str, parts: list[int | None], has_splits: bool) -> int | None:
    """A total, which must be the sum of its parts where those are told."""
    total = statistics.count(name)
    known = [part for part in parts if part is not None]
    if not has_splits or len(known) < len(parts):
        return total
    if total is not None and total != sum(known):
        statistics.fail(name, f"is {total}, and the splits add up to {sum(known)}")
    return sum(known)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is there twice")
    return values
