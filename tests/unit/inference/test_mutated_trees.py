"""Models of trees that were changed at random harm nothing."""

import re
import subprocess
import sys

from tests.unit.docs.documents import ROOT


def test_six_hundred_changed_models_are_refused_or_answer_and_end_no_process() -> None:
    """Without the checks XGBoost ends it at the 20th, and LightGBM at the third."""
    command = [sys.executable, "-m", "tests.unit.inference.mutated_trees", "1", "600"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = re.fullmatch(r"(\d+) of 600 answered\n", ended.stdout)
    assert found is not None
    assert 60 < int(found[1]) < 540, "some changes harm nothing, and some are noticed"
