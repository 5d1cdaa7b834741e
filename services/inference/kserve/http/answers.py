"""Answers over HTTP: a prediction as JSON with binary data behind it, and the protocol's messages as JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from services.inference.kserve.classes import highest
from services.inference.kserve.convert import REQUEST_ID_PARAMETER, routing_parameters
from services.inference.kserve.http.asked import Asked
from services.inference.kserve.http.values import to_json
from services.inference.kserve.parameters import Place, WantedOutput, region_parameters
from services.inference.predictor import Prediction
from services.inference.tensors.codec import to_raw


def answer_to_body(
    prediction: Prediction, asked: Asked, keep: Callable[[Place, bytes], None]
) -> tuple[Sequence[bytes], bool]:
    """The answer: JSON, and behind it the outputs that are wanted binary; whether there are any.

    Raises:
        InvalidRequest: an output cannot be given as it is wanted.
    """
    loaded = prediction.loaded
    outputs, behind = [], []
    for tensor in prediction.outputs:
        wish = asked.wanted.get(tensor.name) or WantedOutput(tensor.name)
        if wish.classes:
            tensor = highest(tensor, wish.classes, rows=loaded.signature.batchable)
        told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.array.shape}
        if wish.place is not None:
            raw = to_raw(tensor)
            keep(wish.place, raw)
            told["parameters"] = region_parameters(wish.place, len(raw))
        elif asked.options.binary_outputs if wish.binary is None else wish.binary:
            behind.append(to_raw(tensor))
            told["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            told["data"] = to_json(tensor)
        outputs.append(told)
    answer: dict[str, Any] = {"model_name": loaded.deployment.served_name, "model_version": loaded.version_number}
    if asked.client_request_id:
        answer["id"] = asked.client_request_id
    answer["parameters"] = {REQUEST_ID_PARAMETER: prediction.request_id, **routing_parameters(prediction)}
    answer["outputs"] = outputs
    return [json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode(), *behind], bool(behind)


def message_to_json(message: Any) -> dict[str, Any]:
    """A message of the protocol as Triton shows it: fields that are not set, too, and numbers as numbers."""
    told: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            told[field.name] = {key: _scalar_or_message(each) for key, each in value.items()}
        elif field.is_repeated:
            told[field.name] = [_told(field, each) for each in value]
        elif not field.has_presence or message.HasField(field.name):
            told[field.name] = _told(field, value)
    return told


def _told(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return message_to_json(value)
    return field.enum_type.values_by_number[value].name if field.enum_type is not None else value


def _scalar_or_message(value: Any) -> Any:
    return message_to_json(value) if hasattr(value, "DESCRIPTOR") else value
