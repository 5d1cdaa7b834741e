"""What a deployment takes between protobuf and the domain."""

from headwater.inference.v1 import preparing_pb2
from services.inference.preparing.options import Preparing, Takes

_Input = preparing_pb2.Preparing.Input
_TAKES = {_Input.INPUT_UNSPECIFIED: Takes.EITHER, _Input.INPUT_RAW: Takes.RAW, _Input.INPUT_TENSORS: Takes.TENSORS}
_INPUTS = {takes: given for given, takes in _TAKES.items()}


def preparing_from_proto(message: preparing_pb2.Preparing) -> Preparing:
    """What is to be taken."""
    return Preparing(_TAKES[message.input])


def preparing_to_proto(preparing: Preparing) -> preparing_pb2.Preparing:
    """The same as the API shows it."""
    return preparing_pb2.Preparing(input=_INPUTS[preparing.takes])
