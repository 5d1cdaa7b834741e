"""Models of trees that were changed at random harm nothing."""

import re
import subprocess
import sys

from tests.unit.docs.documents import ROOT


def test_a_thousand_changed_models_are_refused_or_answer_and_end_no_process() -> None:
    """Of files of the libraries as they come, some of these end it within a hundred."""
    command = [sys.executable, "-m", "tests.unit.inference.mutated_trees", "1", "1000"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = re.fullmatch(r"(\d+) of 1000 answered\n", ended.stdout)
    assert found is not None
    assert 100 < int(found[1]) < 900, "some changes harm nothing, and some are noticed"
