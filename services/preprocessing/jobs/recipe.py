"""What a result says of how it was made: the Dataflow of its dataset version."""

import json
from collections.abc import Sequence

from headwater.transforms import engine
from headwater.transforms.model import Step, steps_digest
from services.preprocessing.jobs.datasets import Recipe, Stored
from services.preprocessing.pipelines.model import PipelineVersion

FORMAT = "headwater.preprocessing/1"


def recipe_of(pipeline: PipelineVersion, steps: Sequence[Step], source: Stored) -> Recipe:
    """The steps as they were run, every option filled in, and what they were run on.

    The same for every job that does the same, so that a result which is there already is found.
    """
    spec = {
        "format": FORMAT,
        "engine": engine.ENGINE_VERSION,
        "digest": steps_digest(steps),
        "steps": [{"step_type": step.step_type, "config": dict(step.config)} for step in steps],
    }
    if source.checkpoint:
        spec["checkpoint"] = source.name
    text = json.dumps(spec, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return Recipe(text, (source.version, str(pipeline.name)))
