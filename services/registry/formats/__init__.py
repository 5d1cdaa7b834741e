"""Reads what a model file says of itself, by its content, without executing any of it (promise 12)."""

from services.registry.formats.detect import inspect
from services.registry.formats.facts import (
    MAX_TENSORS,
    ExternalData,
    FileFacts,
    Format,
    Global,
    InvalidModelFile,
    Layer,
    Signature,
    Tensor,
)

__all__ = [
    "MAX_TENSORS",
    "ExternalData",
    "FileFacts",
    "Format",
    "Global",
    "InvalidModelFile",
    "Layer",
    "Signature",
    "Tensor",
    "inspect",
]
