"""Tensors as they travel: element types, decoding, encoding, signatures and digests."""
