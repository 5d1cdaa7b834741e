"""Drift between protobuf and the domain. 0 stands for a default; what is shown of a deployment is what holds."""

import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.inference.v1 import drift_pb2
from headwater.names import DatasetVersionName
from services.inference.drift.model import FeatureDrift, Level, Watched, Window
from services.inference.drift.options import Drift, FollowedTensor, check

_DEFAULTS = Drift()
_Level = drift_pb2.FeatureDrift.Level
_LEVELS = {
    Level.STEADY: _Level.LEVEL_STEADY,
    Level.WARNING: _Level.LEVEL_WARNING,
    Level.ALERT: _Level.LEVEL_ALERT,
}


def drift_from_proto(message: drift_pb2.Drift) -> Drift:
    """What is to be watched.

    Raises:
        InvalidDrift: it contradicts itself.
        InvalidArgument: what names the dataset version names none.
    """
    if message.dataset_version:
        DatasetVersionName.parse(message.dataset_version, "deployment.drift.dataset_version")
    warn_psi, alert_psi = _bounds(message.warn_psi, message.alert_psi, _DEFAULTS.warn_psi, _DEFAULTS.alert_psi)
    warn_ks, alert_ks = _bounds(message.warn_ks, message.alert_ks, _DEFAULTS.warn_ks, _DEFAULTS.alert_ks)
    return check(
        Drift(
            message.enabled,
            message.dataset_version,
            message.split,
            message.first_rows or _DEFAULTS.first_rows,
            message.window_ms / 1000 or _DEFAULTS.window_s,
            message.min_rows or _DEFAULTS.min_rows,
            tuple(message.features),
            tuple(FollowedTensor(each.name, tuple(each.columns)) for each in message.inputs),
            tuple(FollowedTensor(each.name, tuple(each.columns)) for each in message.outputs),
            warn_psi,
            alert_psi,
            warn_ks,
            alert_ks,
            message.false_alarms or _DEFAULTS.false_alarms,
        )
    )


def drift_to_proto(drift: Drift) -> drift_pb2.Drift:
    """The same as the API shows it."""
    return drift_pb2.Drift(
        enabled=drift.enabled,
        dataset_version=drift.dataset_version,
        split=drift.split,
        first_rows=drift.first_rows,
        window_ms=round(drift.window_s * 1000),
        min_rows=drift.min_rows,
        features=drift.features,
        inputs=[drift_pb2.FollowedTensor(name=each.name, columns=each.columns) for each in drift.inputs],
        outputs=[drift_pb2.FollowedTensor(name=each.name, columns=each.columns) for each in drift.outputs],
        warn_psi=drift.warn_psi,
        alert_psi=drift.alert_psi,
        warn_ks=drift.warn_ks,
        alert_ks=drift.alert_ks,
        false_alarms=drift.false_alarms,
    )


def watched_to_proto(watched: Watched) -> drift_pb2.VersionDrift:
    """What was found of one version, as the API shows it."""
    return drift_pb2.VersionDrift(
        model_version=watched.model_version,
        model_digest=watched.model_digest,
        note=watched.note,
        since_time=_time(watched.since),
        row_count=watched.rows,
        left_out_count=watched.left_out,
        learning=watched.learning,
        features_left_out=watched.features_left_out,
        window_start_time=_time(watched.window_start),
        window_row_count=watched.window_rows,
        last=None if watched.last is None else _window(watched.last),
    )


def feature_to_proto(feature: FeatureDrift) -> drift_pb2.FeatureDrift:
    """How far one feature has gone, as the API shows it."""
    return drift_pb2.FeatureDrift(
        feature=feature.feature,
        side=feature.side,
        baseline=feature.baseline,
        baseline_row_count=feature.baseline_rows,
        row_count=feature.rows,
        missing_count=feature.missing,
        psi=feature.psi,
        psi_critical=feature.psi_critical,
        ks=feature.ks,
        ks_critical=feature.ks_critical,
        level=_LEVELS[feature.level],
        bins=[
            drift_pb2.DriftBin(label=each.label, expected=each.expected, observed=each.observed)
            for each in feature.bins
        ],
    )


def _window(window: Window) -> drift_pb2.DriftWindow:
    return drift_pb2.DriftWindow(
        start_time=_time(window.start),
        end_time=_time(window.end),
        row_count=window.rows,
        features=[feature_to_proto(each) for each in window.features],
    )


def _bounds(warn: float, alert: float, default_warn: float, default_alert: float) -> tuple[float, float]:
    """A warning that is not given comes no later than the alert, and an alert no earlier than the warning."""
    if warn and not alert:
        return warn, max(default_alert, warn)
    if alert and not warn:
        return min(default_warn, alert), alert
    return warn or default_warn, alert or default_alert


def _time(time: datetime.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
