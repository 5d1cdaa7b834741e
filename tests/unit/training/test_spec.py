"""What a job may ask for."""

import math
from typing import Any

import pytest

from headwater.names import InvalidName
from services.training_scheduler.errors import InvalidSpec
from services.training_scheduler.jobs.model import Resources
from services.training_scheduler.jobs.spec import check
from tests.unit.training.jobs import spec


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1.0


def test_a_plain_job_may_run() -> None:
    check(spec(parameters={"epochs": 3.0, "layers": [1.0, {"size": 2.0}], "name": "ä", "off": None}), "default")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"command": ()}, "spec.command"),
        ({"command": ("",)}, "spec.command"),
        ({"command": ("train.py", "a\0b")}, "spec.command"),
        ({"command": ("train.py", "a\nb")}, "spec.command"),
        ({"command": ("/bin/sh",)}, "spec.command"),
        ({"command": ("../train.py",)}, "spec.command"),
        ({"model": "projects/other/models/digits"}, "spec.model"),
        ({"parameters": {"": 1.0}}, "spec.parameters"),
        ({"parameters": {"a": math.nan}}, "spec.parameters.a"),
        ({"parameters": {"a": [{"b": math.inf}]}}, "spec.parameters.a"),
        ({"parameters": {"a": "x\0"}}, "spec.parameters.a"),
        ({"parameters": {"a": {"x\0": 1.0}}}, "spec.parameters.a"),
        ({"parameters": {"a": nested(30)}}, "spec.parameters.a"),
        ({"parameters": {"a": "x" * 300_000}}, "spec.parameters"),
        ({"resources": Resources(cpus=-1)}, "spec.resources.cpus"),
        ({"resources": Resources(cpus=math.nan)}, "spec.resources.cpus"),
        ({"resources": Resources(memory_bytes=-1)}, "spec.resources.memory_bytes"),
    ],
)
def test_what_can_never_run_is_refused_and_the_field_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        check(spec(**changes), "default")
    assert refused.value.metadata["field"] == field


@pytest.mark.parametrize("bad", ["", "..", "projects/p/datasets/../versions/v1", "projects/p/datasets/d\0/versions/v1"])
@pytest.mark.parametrize("field", ["dataset_version", "code"])
def test_a_name_that_is_none_is_refused(bad: str, field: str) -> None:
    with pytest.raises(InvalidName):
        check(spec(**{field: bad}), "default")
