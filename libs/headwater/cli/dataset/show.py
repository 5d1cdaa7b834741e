"""What several commands print of versions and commits."""

from collections.abc import Iterable, Mapping

from headwater.cli.render import facts, table
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, history_pb2

_CLASSES = 20
"""Of each split so many classes are shown."""


def show_version(version: datasets_pb2.DatasetVersion) -> None:
    """Print a version."""
    facts(
        version=version.name,
        state=state(version),
        why=version.state_message,
        place=_place(version.definition.data_path),
        digest=version.digest,
        rows="" if version.definition.HasField("data_path") else f"{version.row_count:,}",
        splits=", ".join(f"{split.name} {split.row_count:,}" for split in version.splits),
        files=f"{version.source_file_count:,}" if version.source_file_count else "",
        derived_from=", ".join(version.derived_from),
        **_flow(version.definition, version.derived_from),
        message=version.message,
    )


def state(version: datasets_pb2.DatasetVersion) -> str:
    """Whether a version is active, deprecated or archived."""
    return datasets_pb2.DatasetVersion.State.Name(version.state).removeprefix("STATE_").lower()


def note(version: datasets_pb2.DatasetVersion) -> str:
    """What to say of a version in a list: why it is not to be used, else why it was made."""
    return version.state_message or version.message


def show_commit(commit: history_pb2.Commit) -> None:
    """Print a commit that has no version."""
    facts(
        commit=commit.name,
        digest=commit.digest,
        rows=f"{sum(split.row_count for split in commit.splits):,}",
        splits=", ".join(f"{split.name} {split.row_count:,}" for split in commit.splits),
        derived_from=", ".join(commit.derived_from),
        **_flow(commit.definition, commit.derived_from),
        message=commit.message,
    )


def show_splits(splits: Iterable[definitions_pb2.Split], classes: Mapping[str, Mapping[str, int]]) -> None:
    """Print what each split holds."""
    rows = [(split.name, f"{split.row_count:,}", f"{split.size_bytes:,}") for split in splits]
    table(("split", "rows", "bytes"), rows)
    for split, counts in classes.items():
        largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        more = f", and {len(counts) - _CLASSES:,} more" if len(counts) > _CLASSES else ""
        facts(**{f"classes of {split}": ", ".join(f"{name} {count:,}" for name, count in largest[:_CLASSES]) + more})


def _place(path: definitions_pb2.DataPath) -> str:
    """Where the rows are, of a version that is a place; empty for others."""
    kind = path.WhichOneof("path")
    return f"{path.datastore} {getattr(path, kind)}" if kind else ""


def _flow(definition: definitions_pb2.Definition, derived_from: Iterable[str]) -> Mapping[str, str]:
    """What was done, and to what where ``derived_from`` has not said that, of rows that a transformation made."""
    inputs = list(definition.dataflow.inputs)
    return {
        "made_from": "" if inputs == list(derived_from) else ", ".join(inputs),
        "made_by": definition.dataflow.spec_json,
    }
