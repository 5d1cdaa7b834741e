"""ONNX models."""

from services.registry.formats.onnx.model import MAX_BYTES, fits, read

__all__ = ["MAX_BYTES", "fits", "read"]
