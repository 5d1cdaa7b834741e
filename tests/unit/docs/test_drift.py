"""docs/how-to/watch-predictions.md says what the code does."""

import re

import yaml

from headwater import deployment_options
from services.inference.deployments.convert import options_from_proto
from services.inference.deployments.options import Options
from services.inference.drift import options, pending, store
from services.inference.drift.options import Drift
from services.inference.kept import Kept
from tests.unit.docs.documents import ROOT

PAGE = (ROOT / "docs/how-to/watch-predictions.md").read_text()


def test_the_example_is_an_option_and_is_kept_as_it_is() -> None:
    """P-36."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    found = options_from_proto(deployment_options.parsed(yaml.safe_load(text)))
    assert found.drift.enabled
    assert found.drift.inputs[0].columns == ("age", "height", "weight")
    kept = Kept(Options)
    assert kept.load(kept.dump(found)) == found


def test_the_defaults_and_bounds_are_those_of_the_code() -> None:
    default = Drift()
    for what in ("warn_psi", "alert_psi", "warn_ks", "alert_ks"):
        assert f"`{what}` {getattr(default, what)} |" in PAGE
    assert f"`first_rows` rows ({default.first_rows:,})" in PAGE
    assert f"`min_rows` rows ({default.min_rows})" in PAGE
    assert f"`window_ms` ({default.window_s / 60:g} minutes)" in PAGE
    assert {0.01: "one of a hundred windows\n(`false_alarms`)"}[default.false_alarms] in PAGE
    assert f"more than {options.MAX_COLUMNS} columns" in PAGE
    assert f"up to {options.MAX_FEATURES}." in PAGE
    assert f"at most {pending.MAX_REQUESTS:,} requests or {pending.MAX_BYTES // 2**20} MiB" in PAGE
    assert f"last {store.MAX_LEARNED} versions" in PAGE
