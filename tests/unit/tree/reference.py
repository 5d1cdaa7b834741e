"""The tree's specification (libs/headwater/tree/README.md) once more, one value at a time and as plainly as possible.

Shares no code with headwater.tree: values are Python objects, types are Arrow's but only asked for their names.
"""

import datetime
import decimal
import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

INTEGERS = {
    "int8": (0x10, 1), "int16": (0x11, 2), "int32": (0x12, 4), "int64": (0x13, 8),
    "uint8": (0x14, 1), "uint16": (0x15, 2), "uint32": (0x16, 4), "uint64": (0x17, 8),
}  # fmt: skip
FLOATS = {"halffloat": (0x20, "<e"), "float": (0x21, "<f"), "double": (0x22, "<d")}
EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC).replace(tzinfo=None)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def type_code(kind: Any) -> bytes:
    name = str(kind)
    if name in INTEGERS:
        return bytes([INTEGERS[name][0]])
    if name in FLOATS:
        return bytes([FLOATS[name][0]])
    simple = {"null": 0x00, "bool": 0x01, "string": 0x30, "binary": 0x31, "date32[day]": 0x50, "time64[ns]": 0x51}
    if name in simple:
        return bytes([simple[name]])
    if pa.types.is_decimal(kind):
        return b"\x40" + struct.pack("<Bi", kind.precision, kind.scale)
    if pa.types.is_timestamp(kind):
        return b"\x52" + text((kind.tz or "").encode())
    if pa.types.is_duration(kind):
        return b"\x53"
    if pa.types.is_map(kind):
        return b"\x62" + type_code(kind.key_type) + type_code(kind.item_type)
    if pa.types.is_list(kind):
        return b"\x60" + type_code(kind.value_type)
    assert pa.types.is_struct(kind)
    return b"\x61" + struct.pack("<I", len(kind)) + b"".join(text(f.name.encode()) + type_code(f.type) for f in kind)


def schema_digest(schema: pa.Schema) -> bytes:
    fields = b"".join(text(field.name.encode()) + type_code(field.type) for field in schema)
    return sha(b"\x04" + text(b"headwater.tree/1") + struct.pack("<I", len(schema)) + fields)


def payload(kind: Any, value: Any) -> bytes | None:
    """The payload of a value (zeros for None) of a fixed type, None for other types."""
    name = str(kind)
    if name in INTEGERS:
        width = INTEGERS[name][1]
        return int(value or 0).to_bytes(width, "little", signed=not name.startswith("u"))
    if name in FLOATS:
        value = 0.0 if value is None else value
        return struct.pack(FLOATS[name][1], math.nan if math.isnan(value) else value)
    if name == "bool":
        return bytes([bool(value)])
    if name == "date32[day]":
        return struct.pack("<q", 0 if value is None else (value - EPOCH.date()).days)
    if name == "time64[ns]":
        micros = 0 if value is None else ((value.hour * 60 + value.minute) * 60 + value.second) * 10**6
        return struct.pack("<q", 1000 * (micros + (value.microsecond if value else 0)))
    if pa.types.is_timestamp(kind):
        return instant(None if value is None else value.replace(tzinfo=None) - EPOCH)
    if pa.types.is_duration(kind):
        return instant(value)
    if pa.types.is_decimal(kind):
        unscaled = 0 if value is None else int(value.scaleb(kind.scale, decimal.Context(prec=76)))
        return unscaled.to_bytes(16 if kind.precision <= 38 else 32, "little", signed=True)
    return None


def instant(value: datetime.timedelta | None) -> bytes:
    value = value or datetime.timedelta()
    return struct.pack("<qI", value.days * 86400 + value.seconds, value.microseconds * 1000)


def encode(kind: Any, value: Any) -> tuple[bytes, bytes]:
    """Head and body of one value."""
    if pa.types.is_null(kind):
        return b"\0", b""
    fixed = payload(kind, value)
    if fixed is not None:
        return (b"\0" + bytes(len(fixed)) if value is None else b"\1" + fixed), b""
    if pa.types.is_struct(kind):
        parts = [encode(field.type, None if value is None else value[field.name]) for field in kind]
        return bytes([value is not None]) + b"".join(h for h, _ in parts), b"".join(b for _, b in parts)
    if value is None:
        return bytes(5), b""
    if pa.types.is_map(kind):
        entry = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return encode(pa.list_(entry), [{"key": key, "value": item} for key, item in value])
    if pa.types.is_list(kind):
        return encode_list(kind.value_type, value)
    data = value.encode() if isinstance(value, str) else value
    return b"\1" + struct.pack("<I", len(data)), data


def encode_list(element: Any, values: Sequence[Any]) -> tuple[bytes, bytes]:
    count = struct.pack("<I", len(values))
    if payload(element, None) is None:
        parts = [encode(element, value) for value in values]
        return b"\1" + count, b"".join(h for h, _ in parts) + b"".join(b for _, b in parts)
    packed = b"".join(payload(element, value) or b"" for value in values)
    if None not in values:
        return b"\1" + count, packed
    return b"\2" + count, bytes(value is not None for value in values) + packed


def row(schema: pa.Schema, values: dict[str, Any]) -> bytes:
    parts = [encode(field.type, values[field.name]) for field in schema]
    return b"".join(h for h, _ in parts) + b"".join(b for _, b in parts)


def chunk_digest(rows: list[bytes]) -> bytes:
    level = rows
    while True:
        level = [sha(b"\1" + b"".join(level[i : i + 64])) for i in range(0, len(level), 64)]
        if len(level) == 1:
            return level[0]


def chunks(schema: pa.Schema, rows: list[dict[str, Any]]) -> list[tuple[bytes, int]]:
    """Digest and number of rows of each chunk."""
    prefix, size = b"\0" + schema_digest(schema), 0
    done: list[tuple[bytes, int]] = []
    pending: list[bytes] = []
    for values in rows:
        encoded = row(schema, values)
        digest = sha(prefix + encoded)
        if size + len(encoded) > 8 * 2**20:
            done.append((chunk_digest(pending), len(pending)))
            pending, size = [], 0
        pending.append(digest)
        size += len(encoded)
        if int.from_bytes(digest[:8], "big") / 2**64 < len(encoded) / 2**20:
            done.append((chunk_digest(pending), len(pending)))
            pending, size = [], 0
    return [*done, (chunk_digest(pending), len(pending))] if pending else done


def split_root(nodes: list[tuple[bytes, int]]) -> tuple[bytes, int]:
    while True:
        groups: list[list[tuple[bytes, int]]] = [[]]
        for node in nodes:
            groups[-1].append(node)
            if len(groups[-1]) == 512 or (len(groups[-1]) > 1 and node[0][0] < 4):
                groups.append([])
        groups = [group for group in groups if group] or [[]]
        nodes = [
            (sha(b"\2" + b"".join(d + struct.pack("<Q", n) for d, n in group)), sum(n for _, n in group))
            for group in groups
        ]
        if len(nodes) == 1:
            return nodes[0]


def version_digest(schema: pa.Schema, splits: dict[str, list[dict[str, Any]]]) -> bytes:
    roots = {name: split_root(chunks(schema, rows)) for name, rows in splits.items()}
    body = b"".join(
        text(name.encode()) + struct.pack("<Q", rows) + root
        for name, (root, rows) in sorted(roots.items(), key=lambda item: item[0].encode())
    )
    return sha(b"\3" + schema_digest(schema) + struct.pack("<I", len(roots)) + body)
