"""Reads ``keras_metadata.pb``, in which Keras 2 describes the layers of a SavedModel
(keras/protobuf/saved_metadata.proto).
"""

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format, InvalidModelFile
from services.registry.formats.tensorflow.objects import Objects
from services.registry.formats.wire import Malformed, Reader, Span

_MAX_OUTER_FIELDS = 10_000


def fits(content: Content) -> bool:
    """Whether the content begins with the description of a Keras object."""
    if content.size < 16 or content.read(0, 1)[0] != 0x0A:
        return False
    reader = Reader(content, _MAX_OUTER_FIELDS)
    try:
        for number, value in reader.fields(reader.whole()):
            return number == 1 and isinstance(value, Span) and _texts(reader, value).get(4, "").startswith("_tf_keras_")
    except Malformed:
        return False
    return False


def read(content: Content) -> FileFacts:
    """The layers, and the model's class.

    Raises:
        InvalidModelFile
    """
    reader, objects = Reader(content), Objects()
    try:
        for number, value in reader.fields(reader.whole()):
            if number != 1 or not isinstance(value, Span):
                continue
            texts = _texts(reader, value)
            metadata = [part for each, part in reader.fields(value) if each == 5 and isinstance(part, Span)]
            for part in metadata[-1:]:
                objects.note_keras(content, texts.get(3, ""), texts.get(4, ""), part)
    except Malformed as error:
        raise InvalidModelFile(f"Not valid metadata of Keras: {error}.", format="keras") from error
    return FileFacts(
        Format.KERAS,
        architecture=objects.architecture,
        layers=objects.layers,
        code=list(objects.code),
        problems=list(objects.problems),
        framework="keras",
    )


def _texts(reader: Reader, node: Span) -> dict[int, str]:
    return {
        number: reader.text(value)
        for number, value in reader.fields(node)
        if number in (3, 4) and isinstance(value, Span)
    }
