"""Reads the header of a safetensors file (https://huggingface.co/docs/safetensors, "Format"): strictly.

8 bytes   N, the header's length, little-endian
N bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {...}}
the rest  the tensors' bytes, without holes or overlaps
"""

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.safetensors.entries import Parsed, invalid, parse
from services.registry.formats.safetensors.usual import parse_usual

MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
_MAX_TEXT_BYTES = 8 * 2**20


def fits(content: Content) -> bool:
    """Whether the content has a header of a possible length that begins as JSON."""
    if not begins_like_it(content):
        return False
    return 2 <= _header_bytes(content) <= min(MAX_HEADER_BYTES, content.size - _LENGTH_BYTES)


def begins_like_it(content: Content) -> bool:
    """Whether the ninth byte opens a JSON object, after eight that are not simply text."""
    if content.size < _LENGTH_BYTES + 2:
        return False
    start = bytes(content.read(0, _LENGTH_BYTES + 2))
    opens = start[8:9] == b"{" and start[9:10] in b'"} \t\r\n'
    return opens and any(byte < 32 or byte > 126 for byte in start[:_LENGTH_BYTES].translate(None, b"\t\r\n"))


def read(content: Content) -> FileFacts:
    """Every tensor with its place in the file, so that one can be fetched by range.

    Raises:
        InvalidModelFile: the file breaks a rule of the format.
    """
    header_bytes = _header_bytes(content)
    data_begin = _LENGTH_BYTES + header_bytes
    if not 2 <= header_bytes <= MAX_HEADER_BYTES:
        raise invalid(f"the header would be {header_bytes} bytes long; 2 to {MAX_HEADER_BYTES} are allowed")
    if data_begin > content.size:
        raise invalid(f"the header would be {header_bytes} bytes long, more than the file")
    header = content.read(_LENGTH_BYTES, header_bytes)
    parsed = _parsed_at_once(header, data_begin, content.size) or parse(header, data_begin, content.size)
    return FileFacts(Format.SAFETENSORS, tensors=sorted(parsed.tensors), properties=parsed.properties)


def _parsed_at_once(header: memoryview, data_begin: int, size: int) -> Parsed | None:
    """What the header says; nothing if it is unusual in any way, or would take four times its size as one text."""
    if len(header) > _MAX_TEXT_BYTES and not _is_ascii(header):
        return None
    try:
        text = str(header, "utf-8")
    except UnicodeDecodeError:
        return None
    return parse_usual(text, data_begin, size)


def _is_ascii(header: memoryview) -> bool:
    return all(bytes(header[begin : begin + 2**20]).isascii() for begin in range(0, len(header), 2**20))


def _header_bytes(content: Content) -> int:
    return int.from_bytes(content.read(0, _LENGTH_BYTES), "little")
