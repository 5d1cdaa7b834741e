"""Names and bounds of parity records, for whoever needs no more of them."""

from typing import Final

PATH: Final = "parity.json"
"""The path of the record among the files of a version: part of what the version's digest is over."""
RAW: Final = "raw"
"""The input that takes rows as they come, before the pipeline: BYTES with one image file an element."""
MAX_SAMPLES: Final = 64
MAX_BYTES: Final = 16 * 2**20
