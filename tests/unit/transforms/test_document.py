"""Pipeline documents: what is read, and that every fault is named (R-36, R-43, X-05, X-06, X-10, X-11)."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headwater.transforms import document
from headwater.transforms.errors import PipelineInvalid

GUIDE = """
{
  "id": "imagenet-preprocessing", "name": "ImageNet Preprocessing", "version": "1.0.0",
  "description": "Standard ImageNet preprocessing",
  "steps": [
    {"id": "resize", "step_type": "image_resize",
     "config": {"width": 224, "height": 224, "mode": "fit", "filter": "lanczos3"}, "cache": true},
    {"id": "normalize", "step_type": "image_normalization",
     "config": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "normalize_range": true}, "cache": true}
  ],
  "metadata": {"target_models": ["resnet50", "vgg16"], "notes": null}
}
"""


def pipeline(**changes: Any) -> dict[str, Any]:
    return {**json.loads(GUIDE), **changes}


def paths(value: object) -> list[str]:
    return [fault.path for fault in document.examine(json.dumps(value))[1]]


def test_the_guides_own_pipeline_is_read_as_written() -> None:
    """R-36, X-10."""
    definition = document.parse(GUIDE)
    assert [step.step_type for step in definition.steps] == ["image_resize", "image_normalization"]
    assert definition.metadata["target_models"] == ["resnet50", "vgg16"]


def test_json_and_yaml_of_one_pipeline_are_one_definition() -> None:
    assert document.parse(yaml.safe_dump(pipeline())) == document.parse(GUIDE)


def test_the_examples_in_the_documentation_are_valid() -> None:
    for example in Path("docs/examples").rglob("prep.json"):
        assert document.examine(example.read_text())[1] == []


def test_a_version_with_a_v_is_the_same_version() -> None:
    """K-02."""
    assert document.parse(json.dumps(pipeline(version="v1.0.0"))).version == "1.0.0"


def test_either_name_of_the_cache_flag_is_understood() -> None:
    """K-04."""
    step = {"id": "decode", "step_type": "image_decode", "cache_results": True}
    assert document.parse(json.dumps(pipeline(steps=[step]))).steps[0].cache


def test_the_digest_is_of_what_the_pipeline_does_and_not_of_what_it_is_called() -> None:
    renamed = pipeline(id="other", name="Other", version="2.0.0", description="")
    renamed["steps"][0]["id"] = "first"
    assert document.parse(json.dumps(renamed)).digest == document.parse(GUIDE).digest


def test_an_option_left_out_is_the_same_as_its_default() -> None:
    left_out = pipeline()
    del left_out["steps"][1]["config"]["normalize_range"]
    assert document.parse(json.dumps(left_out)).digest == document.parse(GUIDE).digest


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"steps": []}, "steps"),
        ({"steps": "resize"}, "steps"),
        ({"colour": "red"}, "colour"),
        ({"id": "../etc"}, "id"),
        ({"version": 1.0}, "version"),
        ({"version": "1.0.0.0"}, "version"),
        ({"metadata": []}, "metadata"),
        ({"name": 3}, "name"),
        ({"steps": [{"id": "a"}]}, "steps[0].step_type"),
        ({"steps": [{"id": "a", "step_type": "image_enlarge"}]}, "steps[0].step_type"),
        ({"steps": [{"id": "a", "step_type": "image_decode", "kwargs": {}}]}, "steps[0].kwargs"),
        ({"steps": [{"id": "a", "step_type": "image_decode", "cache": "yes"}]}, "steps[0].cache"),
        ({"steps": [{"id": "a", "step_type": "image_decode", "config": {"modus": "rgb"}}]}, "steps[0].config.modus"),
        (
            {"steps": [{"id": "a", "step_type": "image_resize", "config": {"width": 0, "height": 9}}]},
            "steps[0].config.width",
        ),
        (
            {"steps": [{"id": "a", "step_type": "image_resize", "config": {"width": "9", "height": 9}}]},
            "steps[0].config.width",
        ),
        (
            {"steps": [{"id": "a", "step_type": "image_normalization", "config": {"mean": [0], "std": [0]}}]},
            "steps[0].config.std.0",
        ),
        (
            {"steps": [{"id": "a", "step_type": "image_normalization", "config": {"mean": [0, 0], "std": [1]}}]},
            "steps[0].config",
        ),
    ],
)
def test_a_fault_is_named_by_its_path(change: dict[str, Any], path: str) -> None:
    assert path in paths(pipeline(**change))


def test_all_faults_are_named_at_once() -> None:
    faulty = pipeline(id="", version="one", steps=[{"id": "a", "step_type": "b"}, {"id": "a"}])
    assert {"id", "version", "steps[0].step_type", "steps[1].step_type"} <= set(paths(faulty))


def test_two_steps_with_one_id_are_refused() -> None:
    steps = [{"id": "a", "step_type": "image_decode"}] * 2
    assert "steps[1].id" in paths(pipeline(steps=steps))


def test_a_step_that_cannot_follow_the_one_before_is_refused() -> None:
    """X-06: nothing is passed through unchanged."""
    steps = [*pipeline()["steps"], {"id": "again", "step_type": "image_resize", "config": {"width": 8, "height": 8}}]
    assert paths(pipeline(steps=steps)) == ["steps[2]"]


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "a", "id": "b"}',
        '{"id": NaN}',
        "{",
        "[]",
        "",
        "id: &anchor a\nname: *anchor",
        "id: !!python/object/apply:os.system [true]",
        "id: a\nid: b",
        "a: " + "[" * 2000 + "]" * 2000,
        "[" * 100_000,
        "\n".join(f"key{number}: 1" for number in range(30_000)),
        "? [a, b]\n: 1",
    ],
)
def test_dangerous_or_ambiguous_text_is_a_fault(text: str) -> None:
    """Promise 12: YAML with aliases or tags, duplicate keys, bombs."""
    definition, faults = document.examine(text)
    assert definition is None
    assert faults


@given(st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats(), st.lists).map(str))
def test_any_text_gives_a_definition_or_faults(text: str) -> None:
    definition, faults = document.examine(text)
    assert (definition is None) == bool(faults)


def test_the_error_names_every_fault() -> None:
    with pytest.raises(PipelineInvalid, match=r"id: is required.*steps: is required"):
        document.parse('{"version": "1.0.0"}')
