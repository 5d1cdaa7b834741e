"""A line of text for each request, after NCSA's log of HTTP servers (M-88):

    digits 01972c9e-… ada [21/Nov/2026:18:30:00.123 +0000] "projects/… x=FP32[2,4] sha256:…" OK 128 "y=… sha256:…" 1.5

In the place of the host is the deployment, in that of the identity the request id, then the user, the time, and as the
request the model version with the input's tensors and digest; the status is ``OK`` or the reason of an error, then come
the size of the answer, its tensors and digest, the latency in milliseconds, and ``name=value`` of what else there is.

What clients send is in it only in names. Whatever is not printable ASCII, a quote or a backslash is written as
``\\xhh``, ``\\"`` or ``\\\\`` as Apache does, in unquoted places a blank too: no request makes a line of its own.
"""

import datetime
import functools
import json
import re

from services.inference.records.model import Record

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_UNSAFE_WORD = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")


def log_line(record: Record) -> str:
    """The line, without its end."""
    time = record.request_time
    line = (
        f"{_known_word(record.deployment)} {record.request_id} {_known_word(record.caller)}"
        f" [{_second(int(time.timestamp()))}.{time.microsecond // 1000:03d} +0000]"
        f" {_quoted(record.model_version, record.inputs, record.request_digest)} {_known_word(record.result)}"
        f" {record.response_bytes} {_quoted('', record.outputs, record.response_digest)} {record.latency_ms:.3f}"
        f"{_known_extra('batch', record.batch_rows)}{_known_extra('rows', record.rows)}"
    )
    if record.client_request_id:
        line += f" client_request_id={_word(record.client_request_id)}"
    if record.variant:
        line += _known_extra("variant", record.variant)
    if record.part_of:
        line += f" part_of={_word(record.part_of)}"
    if record.preprocessing_digest:
        line += _known_extra("preprocessing", record.preprocessing_digest)
    return line


def _quoted(first: str, facts: str, digest: str) -> str:
    """In quotes what there is of these; a digest needs no escapes."""
    known = _known_parts(first, facts)
    return f'"{known} {digest}"' if known and digest else f'"{known}{digest}"'


@functools.lru_cache(1024)
def _known_parts(first: str, facts: str) -> str:
    return _UNSAFE.sub(_escaped, " ".join(filter(None, (first, _tensors(facts)))))


@functools.lru_cache(4096)
def _known_extra(name: str, value: object) -> str:
    return f" {name}={_word(str(value))}" if value else ""


def _tensors(facts: str) -> str:
    """``x=FP32[2,4]``; requests of one model mostly look alike."""
    shapes = ((name, datatype, ",".join(map(str, shape))) for name, datatype, shape in json.loads(facts))
    return " ".join(f"{name}={datatype}[{shape}]" for name, datatype, shape in shapes)


@functools.lru_cache(4096)
def _known_word(text: str) -> str:
    """A word that comes again and again."""
    return _word(text)


@functools.lru_cache(16)
def _second(timestamp: int) -> str:
    time = datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
    # Not strftime, which writes months in the language of the machine.
    return f"{time.day:02d}/{_MONTHS[time.month - 1]}/{time.year}:{time:%H:%M:%S}"


def _word(text: str) -> str:
    return _UNSAFE_WORD.sub(_escaped, text) or "-"


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return f"\\{character}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogatepass"))
