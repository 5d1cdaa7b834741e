"""What a pickle may import: things that only build tensors, numbers and plain containers, whatever they are given.

Nothing else is safe, however harmless its name sounds: a pickle combines what it imports. The list is shorter than what
``torch.load(weights_only=True)`` allows, plus what NumPy arrays are made of.
"""

from collections.abc import Mapping

DTYPES: Mapping[str, tuple[str, int]] = {
    "float32": ("FP32", 4),
    "float64": ("FP64", 8),
    "float16": ("FP16", 2),
    "bfloat16": ("BF16", 2),
    "uint8": ("UINT8", 1),
    "int8": ("INT8", 1),
    "int16": ("INT16", 2),
    "int32": ("INT32", 4),
    "int64": ("INT64", 8),
    "uint16": ("UINT16", 2),
    "uint32": ("UINT32", 4),
    "uint64": ("UINT64", 8),
    "bool": ("BOOL", 1),
    "complex32": ("COMPLEX32", 4),
    "complex64": ("COMPLEX64", 8),
    "complex128": ("COMPLEX128", 16),
    "float8_e4m3fn": ("FP8_E4M3", 1),
    "float8_e4m3fnuz": ("FP8_E4M3FNUZ", 1),
    "float8_e5m2": ("FP8_E5M2", 1),
    "float8_e5m2fnuz": ("FP8_E5M2FNUZ", 1),
    "float8_e8m0fnu": ("FP8_E8M0", 1),
    "float4_e2m1fn_x2": ("FP4_X2", 1),
    "qint8": ("INT8", 1),
    "quint8": ("UINT8", 1),
    "qint32": ("INT32", 4),
    "quint4x2": ("UINT4_X2", 1),
    "quint2x4": ("UINT2_X4", 1),
}
"""By PyTorch's name: the type in Open Inference Protocol notation (our spelling where it has none), and an element's
bytes."""

STORAGES: Mapping[str, str] = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
"""The dtype of each kind of storage in ``torch``, and of most in ``torch.cuda``."""

_PLAIN = {
    ("collections", "OrderedDict"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    *((module, name) for module in ("builtins", "__builtin__") for name in ("set", "frozenset", "complex", "slice")),
}
_TORCH = {
    *(("torch", name) for name in (*DTYPES, *STORAGES, "Size", "Tensor", "device")),
    *(("torch.cuda", name) for name in STORAGES if not name.startswith("Q")),
    *(("torch.storage", name) for name in ("UntypedStorage", "TypedStorage")),
    *(("torch._utils", f"_rebuild_{name}") for name in ("tensor", "tensor_v2", "tensor_v3", "parameter", "qtensor")),
    ("torch._utils", "_rebuild_parameter_with_state"),
    ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._utils", "_rebuild_nested_tensor"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.serialization", "_get_layout"),
    *(("torch", f"per_{of}_{kind}") for of in ("tensor", "channel") for kind in ("affine", "symmetric")),
    ("torch", "per_channel_affine_float_qparams"),
}
_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}
_ENCODE = ("_codecs", "encode")
SAFE = frozenset(_PLAIN | _TORCH | _NUMPY | {_ENCODE})
"""Module and name of what is safe to import and to call."""

TORCHSCRIPT = frozenset(
    ("torch.jit._pickle", name)
    for name in ("build_boollist", "build_doublelist", "build_intlist", "build_tensorlist", "restore_type_tag")
)
"""What only TorchScript archives use besides; they also name classes of their own code, below ``__torch__``."""
