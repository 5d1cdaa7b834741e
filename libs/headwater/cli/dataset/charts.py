"""The profile of a split as text: a line of figures for each column, histograms in block characters, bars."""

from collections.abc import Iterator, Sequence

from rich.markup import escape

from headwater.cli.render import output
from headwater.dataset.v1 import profiles_pb2
from headwater.datasets.figures import about, number, reading, share, size, spread

_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BAR_WIDTH = 24
_LABEL_WIDTH = 28
_MAX_BARS = 20
_MEDIAN = 0.5


def show(split: profiles_pb2.SplitProfile) -> None:
    """Print the profile of a split."""
    output.print()
    rows, columns = f"{split.row_count:,} rows", f"{len(split.columns):,} columns"
    output.print(f"[bold]{escape(split.split)}[/]  {rows} · {size(split.size_bytes)} · {columns}")
    for column in split.columns:
        output.print()
        for line in column_lines(column):
            output.print(line)


def column_lines(column: profiles_pb2.ColumnProfile) -> Iterator[str]:
    """A column's figures, as markup."""
    yield f"[bold cyan]{escape(printable(column.column))}[/]  [dim]{escape(printable(column.type))}[/]"
    yield f"  {_counts(column)}"
    if column.HasField("numbers"):
        yield from _numbers(column.numbers, column.type)
    if column.HasField("lengths"):
        yield from _lengths(column)
    if column.HasField("images"):
        yield from _images(column.images)
    if column.top_values:
        yield from _values(column)


def printable(text: str) -> str:
    """``text`` without anything that a terminal would act on."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)


def sparkline(counts: Sequence[int]) -> str:
    """``▁▃█▂``: of each count its share of the highest; what is there at all can be seen."""
    most = max(counts, default=0)
    return "".join(
        _BLOCKS[0] if not count else _BLOCKS[max(1, round(count / most * (len(_BLOCKS) - 1)))] for count in counts
    )


def bar(part: int, whole: int, width: int = _BAR_WIDTH) -> str:
    """A bar of a length in proportion; ``whole`` fills the width."""
    eighths = max(1, round(part / whole * width * 8)) if part and whole else 0
    full, rest = divmod(eighths, 8)
    return (_EIGHTHS[-1] * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _counts(column: profiles_pb2.ColumnProfile) -> str:
    total = column.count + column.null_count
    parts = [f"{column.count:,} values"]
    parts.append(f"{column.null_count:,} null ({share(column.null_count, total)})" if column.null_count else "no null")
    if column.nan_count:
        parts.append(f"{column.nan_count:,} NaN ({share(column.nan_count, total)})")
    if column.distinct_estimate:
        parts.append(f"{about(column.distinct_estimate, exact=column.top_values_are_all)} distinct")
    return " · ".join(parts)


def _numbers(numbers: profiles_pb2.NumberProfile, kind: str) -> Iterator[str]:
    mean = (
        f" · mean {reading(numbers.mean, kind, numbers.max - numbers.min)} ± {spread(numbers.standard_deviation, kind)}"
    )
    infinite = f" · {numbers.infinite_count:,} infinite" if numbers.infinite_count else ""
    yield f"  {_range(numbers, kind)}{mean}{infinite}"
    if len(numbers.histogram) > 1:
        yield f"  {_histogram(numbers, kind)}"


def _range(numbers: profiles_pb2.NumberProfile, kind: str) -> str:
    span = numbers.max - numbers.min
    words = [f"min {reading(numbers.min, kind, span)}"]
    for quantile in numbers.quantiles:
        name = "median" if quantile.rank == _MEDIAN else f"{quantile.rank:.0%}"
        words.append(f"{name} {reading(quantile.value, kind, span)}")
    return "  ".join([*words, f"max {reading(numbers.max, kind, span)}"])


def _histogram(numbers: profiles_pb2.NumberProfile, kind: str) -> str:
    bins = numbers.histogram
    line = sparkline([each.count for each in bins])
    last = min(bins[-1].upper, numbers.max)  # bins of whole numbers may end behind the largest
    span = last - bins[0].lower
    return f"[green]{line}[/]  [dim]{reading(bins[0].lower, kind, span)} … {reading(last, kind, span)}[/]"


def _lengths(column: profiles_pb2.ColumnProfile) -> Iterator[str]:
    lengths = column.lengths
    unit = {"string": "characters", "binary": "bytes"}.get(column.type.partition("[")[0], "elements")
    unit = "bytes" if column.type.startswith("fixed_size_binary") else unit
    if lengths.min == lengths.max:
        yield f"  each {number(lengths.min)} {unit} long"
        return
    yield f"  {unit}: {_range(lengths, '')}"
    yield f"  {_histogram(lengths, '')}"


def _images(images: profiles_pb2.ImageProfile) -> Iterator[str]:
    unreadable = f", {images.unreadable_count:,} not readable" if images.unreadable_count else ""
    kinds = [f"{escape(each.value)} {each.count:,}" for each in (*images.formats, *images.colour_spaces)]
    yield f"  {images.count:,} images{unreadable}: {' · '.join(kinds)}"
    for side, sizes in (("widths", images.widths), ("heights", images.heights)):
        if sizes.histogram:
            histogram = f"  {_histogram(sizes, '')}" if len(sizes.histogram) > 1 else ""
            yield f"  {side:<8}{_range(sizes, '')}{histogram}"


def _values(column: profiles_pb2.ColumnProfile) -> Iterator[str]:
    shown = column.top_values[:_MAX_BARS]
    if not column.top_values_are_all and shown[0].count == 1:
        return  # every value is as frequent as any other
    labels = [_label(each.value) for each in shown]
    width = max(map(len, labels))
    most = shown[0].count
    for label, each in zip(labels, shown, strict=True):
        line = f"  {escape(label.ljust(width))}  [blue]{bar(each.count, most)}[/] {each.count:>9,}"
        yield f"{line}  {share(each.count, column.count)}"
    left = len(column.top_values) - len(shown)
    if left or not column.top_values_are_all:
        yield f"  [dim]… {f'and {left:,} more' if column.top_values_are_all else 'and others'}[/]"


def _label(value: str) -> str:
    text = printable(value) if value else "(empty)"
    return text if len(text) <= _LABEL_WIDTH else f"{text[: _LABEL_WIDTH - 1]}…"
