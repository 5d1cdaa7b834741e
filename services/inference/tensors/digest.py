"""The canonical form of a set of tensors, and its digest; see headwater.tensors."""

from headwater.tensors import canonical as canonical
from headwater.tensors import digest as digest
