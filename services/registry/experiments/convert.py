"""Experiments between proto and domain."""

from collections.abc import Mapping
from typing import Any

from chassis.etags import etag_of
from chassis.update_masks import masked
from headwater.names import ExperimentName, check_segment
from headwater.registry.v1 import experiments_pb2
from services.registry import convert
from services.registry.experiments.model import About, Experiment

_DESCRIBED = ("display_name", "description", "tags")


def about(experiment: experiments_pb2.Experiment) -> About:
    """What is said of the experiment to be, checked."""
    convert.refuse_other_fields(experiment, _DESCRIBED, "experiment")
    return About(**_described(experiment))


def experiment_id(text: str) -> str:
    """The last segment of an experiment's name, or raise InvalidName."""
    return check_segment(text, "experiment_id")


def changes(request: experiments_pb2.UpdateExperimentRequest) -> Mapping[str, Any]:
    """The fields that an update is about, with the values that they are to have.

    Raises:
        InvalidUpdateMask, InvalidField
    """
    if not request.update_mask.paths:  # else the mask says what is meant, and the rest of what was read may come along
        convert.refuse_other_fields(request.experiment, ("name", "etag", *_DESCRIBED), "experiment")
    said = _described(request.experiment)
    return {field: said[field] for field in masked(request.experiment, request.update_mask.paths, _DESCRIBED)}


def replacement(text: str, experiment: ExperimentName) -> ExperimentName | None:
    """What to use instead of an experiment; None where nothing is said.

    Raises:
        InvalidField: it is of another project.
    """
    name = ExperimentName.parse(text, "replacement") if text else None
    if name is not None and name.project != experiment.project:
        raise convert.InvalidField("replacement must be of the same project.", field="replacement")
    return name


def to_proto(experiment: Experiment) -> experiments_pb2.Experiment:
    """The experiment as a message."""
    return experiments_pb2.Experiment(
        name=str(experiment.name),
        uid=experiment.id,
        display_name=experiment.display_name,
        description=experiment.description,
        tags=experiment.tags,
        state=experiments_pb2.Experiment.State.ValueType(experiment.state),
        replacement=experiment.replacement,
        create_time=convert.timestamp(experiment.create_time),
        created_by=experiment.created_by,
        update_time=convert.timestamp(experiment.update_time),
        etag=etag_of(experiment.revision),
    )


def _described(experiment: experiments_pb2.Experiment) -> Mapping[str, Any]:
    return {
        "display_name": convert.text(experiment.display_name, "experiment.display_name", convert.MAX_DISPLAY_NAME),
        "description": convert.text(experiment.description, "experiment.description", convert.MAX_DESCRIPTION),
        "tags": convert.pairs(experiment.tags, "experiment.tags", convert.MAX_TAG),
    }
