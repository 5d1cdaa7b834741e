"""What a program may give as a parameter or object of its run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from headwater.runs import value_of


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, None),
        (True, True),
        (3, 3.0),
        ("adam", "adam"),
        ((8, 4), [8.0, 4.0]),
        ({"a": [{1: None}]}, {"a": [{"1": None}]}),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.int64(3), 3.0),
        (np.bool_(True), True),
        (np.str_("adam"), "adam"),
        (np.array([[5, 1], [0, 9]]), [[5.0, 1.0], [0.0, 9.0]]),
        ({"counts": np.zeros((1, 2))}, {"counts": [[0.0, 0.0]]}),
    ],
)
def test_values_of_json_and_of_numpy_are_told(given: Any, told: Any) -> None:
    found = json_format.MessageToDict(value_of(given))
    assert found == told
    assert type(found) is type(told)


@pytest.mark.parametrize("given", [Path("x"), {1}, b"x", math, object()])
def test_what_is_no_value_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="no value as in JSON"):
        value_of(given)
