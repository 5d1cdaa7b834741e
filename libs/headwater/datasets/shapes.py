"""The shape of a row's value, which Arrow's fixed-size lists do not have: field metadata says it."""

import json

import pyarrow as pa

SHAPE_KEY = b"headwater.shape"
"""The shape as a JSON list; the preprocessing writes it."""


def shape_of(field: pa.Field) -> list[int]:
    """The shape that the field's metadata says; empty when it says none."""
    return [int(side) for side in json.loads((field.metadata or {}).get(SHAPE_KEY, b"[]"))]
