"""Every step type there is, and which may follow which."""

from collections.abc import Mapping, Sequence
from typing import Final

from headwater.transforms import images
from headwater.transforms.model import Fault, Step
from headwater.transforms.rows import Kind
from headwater.transforms.step import StepType

STEP_TYPES: Final[Mapping[str, StepType]] = {**images.STEP_TYPES}

_DECODE: Final = Step(id="implicit-decode", step_type="image_decode", config=images.Decode().model_dump(mode="json"))


def order_faults(steps: Sequence[Step]) -> list[Fault]:
    """A fault for each step that cannot work on what the step before it leaves."""
    faults = []
    kind = Kind.ENCODED
    for index, step in enumerate(with_decode(steps), start=len(steps) - len(with_decode(steps))):
        step_type = STEP_TYPES[step.step_type]
        if step_type.takes is not kind:
            message = f"{step.step_type} needs {step_type.takes.value} images; here they are {kind.value}"
            faults.append(Fault(f"steps[{index}]", message))
        kind = step_type.gives
    return faults


def with_decode(steps: Sequence[Step]) -> Sequence[Step]:
    """The steps to run: a pipeline that begins with pixels (as the rs3gw guide's do) decodes to RGB first."""
    if steps and STEP_TYPES[steps[0].step_type].takes is Kind.PIXELS:
        return (_DECODE, *steps)
    return steps
