"""GGUF, the format of llama.cpp."""

from services.registry.formats.gguf.model import fits, read

__all__ = ["fits", "read"]
