"""The element types of GGUF (``ggml_type`` in ggml.h)."""

from typing import NamedTuple


class GgmlType(NamedTuple):
    """A type's name, in Open Inference Protocol notation where it has one there, and how its elements are packed."""

    datatype: str
    block: int
    """Elements that are packed together."""
    block_bytes: int


TYPES = {
    number: GgmlType(*each)
    for number, each in {
        0: ("FP32", 1, 4),
        1: ("FP16", 1, 2),
        2: ("Q4_0", 32, 18),
        3: ("Q4_1", 32, 20),
        6: ("Q5_0", 32, 22),
        7: ("Q5_1", 32, 24),
        8: ("Q8_0", 32, 34),
        9: ("Q8_1", 32, 40),
        10: ("Q2_K", 256, 84),
        11: ("Q3_K", 256, 110),
        12: ("Q4_K", 256, 144),
        13: ("Q5_K", 256, 176),
        14: ("Q6_K", 256, 210),
        15: ("Q8_K", 256, 292),
        16: ("IQ2_XXS", 256, 66),
        17: ("IQ2_XS", 256, 74),
        18: ("IQ3_XXS", 256, 98),
        19: ("IQ1_S", 256, 50),
        20: ("IQ4_NL", 32, 18),
        21: ("IQ3_S", 256, 110),
        22: ("IQ2_S", 256, 82),
        23: ("IQ4_XS", 256, 136),
        24: ("INT8", 1, 1),
        25: ("INT16", 1, 2),
        26: ("INT32", 1, 4),
        27: ("INT64", 1, 8),
        28: ("FP64", 1, 8),
        29: ("IQ1_M", 256, 56),
        30: ("BF16", 1, 2),
        34: ("TQ1_0", 256, 54),
        35: ("TQ2_0", 256, 66),
        39: ("MXFP4", 32, 17),
        40: ("NVFP4", 64, 36),
        41: ("Q1_0", 128, 18),
    }.items()
}
