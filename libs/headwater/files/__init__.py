"""Files on the user's machine as rows, and rows as files.

source = Source(Path("digits"), split_by("directory"))
for split in source.splits:
    for batch in source.batches(split):
        writer.write_batch(batch)
files = list(source.source_files())
"""

from typing import TYPE_CHECKING

from headwater.lazy import lazily

if TYPE_CHECKING:
    from headwater.files.exporting import Exported, export, export_folder
    from headwater.files.manifest import SourceFile
    from headwater.files.source import KINDS, Source
    from headwater.files.splits import (
        FORMS,
        ByColumn,
        ByDirectory,
        ByGroup,
        ByHash,
        ByRatio,
        ByStratum,
        SplitBy,
        Whole,
        split_by,
    )
    from headwater.files.sql import SqlSource

__getattr__ = lazily(
    __name__,
    {
        "exporting": ["Exported", "export", "export_folder"],
        "manifest": ["SourceFile"],
        "source": ["KINDS", "Source"],
        "splits": [
            "FORMS",
            "ByColumn",
            "ByDirectory",
            "ByGroup",
            "ByHash",
            "ByRatio",
            "ByStratum",
            "SplitBy",
            "Whole",
            "split_by",
        ],
        "sql": ["SqlSource"],
    },
)

__all__ = [
    "FORMS",
    "KINDS",
    "ByColumn",
    "ByDirectory",
    "ByGroup",
    "ByHash",
    "ByRatio",
    "ByStratum",
    "Exported",
    "Source",
    "SourceFile",
    "SplitBy",
    "SqlSource",
    "Whole",
    "export",
    "export_folder",
    "split_by",
]
