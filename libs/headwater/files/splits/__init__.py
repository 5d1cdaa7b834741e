"""Which split a row belongs to: decided by names, by values or by a seed, never by chance.

split_by("directory")                                     # train/, validation/, test/
split_by("stratum:label,train=0.8,test=0.2,seed=7")       # the same rows, the same splits, on every machine

docs/reference/splits.md says how to compute every rule by hand.
"""

from headwater.files.splits.given import ByColumn, ByDirectory, Whole
from headwater.files.splits.grammar import FORMS, split_by
from headwater.files.splits.names import in_order
from headwater.files.splits.rule import Choice, Classes, Division, Rows, SplitBy
from headwater.files.splits.shared import ByGroup, ByHash, ByRatio, ByStratum

__all__ = [
    "FORMS",
    "ByColumn",
    "ByDirectory",
    "ByGroup",
    "ByHash",
    "ByRatio",
    "ByStratum",
    "Choice",
    "Classes",
    "Division",
    "Rows",
    "SplitBy",
    "Whole",
    "in_order",
    "split_by",
]
