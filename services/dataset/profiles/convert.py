"""Between the protos of profiles and values; pure."""

from collections.abc import Iterable

from headwater.dataset.v1 import profiles_pb2
from services.dataset.convert import timestamp
from services.dataset.profiles.model import (
    ColumnProfile,
    Freshness,
    ImageProfile,
    NumberProfile,
    ProfileState,
    SplitProfile,
    ValueCount,
)
from services.dataset.profiles.profiles import Judged

_STATES = {
    ProfileState.RUNNING: profiles_pb2.DatasetProfile.STATE_RUNNING,
    ProfileState.READY: profiles_pb2.DatasetProfile.STATE_READY,
    ProfileState.FAILED: profiles_pb2.DatasetProfile.STATE_FAILED,
}
_FRESHNESS = {
    Freshness.UNKNOWN: profiles_pb2.DatasetProfile.FRESHNESS_UNSPECIFIED,
    Freshness.FRESH: profiles_pb2.DatasetProfile.FRESHNESS_FRESH,
    Freshness.STALE: profiles_pb2.DatasetProfile.FRESHNESS_STALE,
}


def profile_to_proto(judged: Judged) -> profiles_pb2.DatasetProfile:
    """A profile."""
    profile, version = judged.profile, judged.profile.subject.version
    return profiles_pb2.DatasetProfile(
        name=str(profile.name),
        state=_STATES[profile.state],
        error=profile.error,
        freshness=_FRESHNESS[judged.freshness],
        view=profile.subject.view,
        create_time=timestamp(profile.create_time),
        created_by=profile.created_by,
        splits=[_split(split) for split in profile.splits],
        rows_done=profile.rows_done,
        filter=profile.subject.filter,
        checkpoint=f"{version}/checkpoints/{profile.subject.checkpoint}" if profile.subject.checkpoint else "",
        columns=profile.subject.columns,
    )


def _split(split: SplitProfile) -> profiles_pb2.SplitProfile:
    return profiles_pb2.SplitProfile(
        split=split.split,
        row_count=split.row_count,
        size_bytes=split.size_bytes,
        columns=[_column(column) for column in split.columns],
    )


def _column(column: ColumnProfile) -> profiles_pb2.ColumnProfile:
    return profiles_pb2.ColumnProfile(
        column=column.column,
        type=column.type,
        count=column.count,
        null_count=column.null_count,
        nan_count=column.nan_count,
        distinct_estimate=column.distinct_estimate,
        numbers=_numbers(column.numbers),
        lengths=_numbers(column.lengths),
        top_values=_counts(column.top_values),
        top_values_are_all=column.top_values_are_all,
        images=_images(column.images),
    )


def _numbers(numbers: NumberProfile | None) -> profiles_pb2.NumberProfile | None:
    if numbers is None:
        return None
    return profiles_pb2.NumberProfile(
        min=numbers.minimum,
        max=numbers.maximum,
        mean=numbers.mean,
        standard_deviation=numbers.standard_deviation,
        quantiles=[profiles_pb2.Quantile(rank=rank, value=value) for rank, value in numbers.quantiles],
        histogram=[
            profiles_pb2.HistogramBin(lower=each.lower, upper=each.upper, count=each.count)
            for each in numbers.histogram
        ],
        infinite_count=numbers.infinite_count,
    )


def _images(images: ImageProfile | None) -> profiles_pb2.ImageProfile | None:
    if images is None:
        return None
    return profiles_pb2.ImageProfile(
        count=images.count,
        unreadable_count=images.unreadable_count,
        widths=_numbers(images.widths),
        heights=_numbers(images.heights),
        colour_spaces=_counts(images.colour_spaces),
        formats=_counts(images.formats),
    )


def _counts(counts: Iterable[ValueCount]) -> list[profiles_pb2.ValueCount]:
    return [profiles_pb2.ValueCount(value=each.value, count=each.count) for each in counts]
