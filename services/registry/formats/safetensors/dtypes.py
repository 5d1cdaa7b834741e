"""The element types of safetensors."""

# Bits of one element, and the type in Open Inference Protocol notation (our own spelling where it has none).
TYPES: dict[str, tuple[int, str]] = {
    "BOOL": (8, "BOOL"),
    "U8": (8, "UINT8"),
    "I8": (8, "INT8"),
    "U16": (16, "UINT16"),
    "I16": (16, "INT16"),
    "U32": (32, "UINT32"),
    "I32": (32, "INT32"),
    "U64": (64, "UINT64"),
    "I64": (64, "INT64"),
    "F16": (16, "FP16"),
    "BF16": (16, "BF16"),
    "F32": (32, "FP32"),
    "F64": (64, "FP64"),
    "C64": (64, "COMPLEX64"),
    "F4": (4, "FP4"),
    "F6_E2M3": (6, "FP6_E2M3"),
    "F6_E3M2": (6, "FP6_E3M2"),
    "F8_E4M3": (8, "FP8_E4M3"),
    "F8_E4M3FNUZ": (8, "FP8_E4M3FNUZ"),
    "F8_E5M2": (8, "FP8_E5M2"),
    "F8_E5M2FNUZ": (8, "FP8_E5M2FNUZ"),
    "F8_E8M0": (8, "FP8_E8M0"),
}
