"""What a step type is. A new one is a class like those in images.py and a line in catalogue.py."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pydantic

from headwater.transforms.rows import Kind, Rows


class StepConfig(pydantic.BaseModel):
    """A step's options. An unknown one is an error that names it; NaN and infinities are no numbers."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


@dataclasses.dataclass(frozen=True, slots=True)
class StepType:
    """One thing that a pipeline can do. ``run`` is a pure function of options and rows."""

    config: type[StepConfig]
    takes: Kind
    gives: Kind
    run: Callable[[Any, Rows], Rows]
