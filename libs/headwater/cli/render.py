"""What commands print: one console for results, one for progress and errors, so that results can be piped."""

import datetime
import sys
from collections.abc import Iterable, Sequence

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

# What another program reads is not folded to a screen's width: a name stays in one piece.
output = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 4096)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def as_json(message: Message) -> None:
    """Print a message as JSON with the names of the proto."""
    output.print(MessageToJson(message, preserving_proto_field_name=True), markup=False)


def progress(unit: str) -> Progress:
    """A progress bar on standard error: done of all, in ``unit``, with the time spent and left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
    )


def transfer() -> Progress:
    """A progress bar on standard error, of bytes: done of all, the rate, and the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
    )


def warn(warnings: Iterable[str]) -> None:
    """Print what the user should know, without stopping anything."""
    for warning in warnings:
        errors.print(f"[yellow]warning:[/] {escape(warning)}")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings. What is too long for its column goes on in the next line; nothing is cut."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(str(value)) for value in row))
    output.print(grid)


def facts(**values: object) -> None:
    """Print ``key  value`` lines; empty values are left out."""
    width = max(12, *(len(key) for key in values)) + 2  # of one width, for commands that print several groups
    for key, value in values.items():
        if value not in ("", None):
            output.print(f"[dim]{key.replace('_', ' '):<{width}}[/]{escape(str(value))}")


def when(time: Timestamp) -> str:
    """A time as people read it, in their own zone."""
    return f"{time.ToDatetime(datetime.UTC).astimezone():%Y-%m-%d %H:%M:%S}"
