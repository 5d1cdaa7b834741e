"""``headwater deployment drift``."""

from collections.abc import Sequence

from headwater import drift as drifts
from headwater import references
from headwater.cli.deployment.app import app
from headwater.cli.render import facts, table, when
from headwater.client import Connection
from headwater.inference.v1 import drift_pb2
from headwater.names import DEFAULT_PROJECT

_COLUMNS = ("feature", "kind", "level", "PSI", "by chance", "KS", "by chance", "values", "missing", "compared with")
_BINS = ("in", "expected", "found")
_Level = drift_pb2.FeatureDrift.Level


@app.command
def drift(name: str, feature: str = "", *, version: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Show how far inputs and predictions have gone from what the model was trained on.

    Parameters
    ----------
    name
        The served name.
    feature
        Show how the values of this one are distributed.
    version
        Only of the version with this number.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        found = drifts.get(connection, references.deployment(name, project), version)
    if not found.enabled:
        facts(drift="is not watched; switch it on by headwater deployment configure with drift: {enabled: true}")
    for each in found.versions:
        _about(each)
        features = [one for one in each.last.features if feature in ("", one.feature)]
        table(_COLUMNS, map(_row, features))
        if feature:
            for one in features:
                bins = one.bins
                table(_BINS, [(bin_.label, f"{bin_.expected:.2%}", f"{bin_.observed:.2%}") for bin_ in bins])


def _about(found: drift_pb2.VersionDrift) -> None:
    last = found.last
    judged = f"{last.row_count} rows until {when(last.end_time)}" if found.HasField("last") else "none yet"
    facts(
        model_version=found.model_version,
        note=found.note,
        watched_since=when(found.since_time) if found.HasField("since_time") else "",
        rows=found.row_count,
        left_out=found.left_out_count,
        learning=", ".join(found.learning),
        last_window=judged,
        this_window=f"{found.window_row_count} rows",
    )


def _row(found: drift_pb2.FeatureDrift) -> Sequence[object]:
    has_ks = found.HasField("ks")
    return (
        found.feature,
        found.side,
        _Level.Name(found.level).removeprefix("LEVEL_").lower(),
        f"{found.psi:.3f}",
        f"{found.psi_critical:.3f}",
        f"{found.ks:.3f}" if has_ks else "",
        f"{found.ks_critical:.3f}" if has_ks else "",
        found.row_count,
        found.missing_count,
        found.baseline,
    )
