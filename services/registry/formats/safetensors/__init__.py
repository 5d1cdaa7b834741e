"""Safetensors: files of tensors, and the index of a model that is spread over several."""

from services.registry.formats.safetensors.header import begins_like_it, fits, read

__all__ = ["begins_like_it", "fits", "read"]
