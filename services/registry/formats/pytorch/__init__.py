"""PyTorch: what ``torch.save``, ``torch.jit.save`` and ``torch.export.save`` write, also in the older forms."""

from services.registry.formats.pytorch.reader import fits, read

__all__ = ["fits", "read"]
