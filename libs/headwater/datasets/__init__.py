"""Datasets from Python: push rows, look at versions, read rows.

    with Connection.discover() as connection:
        pushed = datasets.push(connection, "digits", datasets.Tables({"train": table}), message="first")
        reader = datasets.reader(connection, pushed.version.name, "train", columns=["image"], shard=(0, 2))
        for batch in reader: ...

A version is named in full, or as ``digits@v1.0.0``; ``digits`` alone is its latest version. ``digits@main`` is a
branch, ``digits@best`` a tag, ``digits@0f3c21ab`` a commit; see ``headwater.datasets.history``. A split of a version is
also ``s3://datasets/digits/v1.0.0/train.tar``, which every reader takes in place of version and split.
"""

from typing import TYPE_CHECKING

from headwater.lazy import lazily

if TYPE_CHECKING:
    from headwater.datasets.catalog import (
        get,
        get_version,
        list_chunks,
        list_datasets,
        list_source_files,
        list_versions,
        resolve,
        resolve_version,
        update,
    )
    from headwater.datasets.changes import MergeConflict, diff, edit, merge, revert
    from headwater.datasets.checking import Checked, Problem, check
    from headwater.datasets.documents import document
    from headwater.datasets.export import export_version
    from headwater.datasets.frames import Selection, to_arrow, to_numpy, to_pandas, to_polars
    from headwater.datasets.huggingface import to_huggingface, to_huggingface_table
    from headwater.datasets.local import open_local
    from headwater.datasets.pushing import Progress, Pushed, RowSource, Tables, push, put
    from headwater.datasets.ray import to_ray
    from headwater.datasets.read import pull, reader, schema, verify
    from headwater.datasets.splitting import split

__getattr__ = lazily(
    __name__,
    {
        "catalog": [
            "get",
            "get_version",
            "list_chunks",
            "list_datasets",
            "list_source_files",
            "list_versions",
            "resolve",
            "resolve_version",
            "update",
        ],
        "changes": ["MergeConflict", "diff", "edit", "merge", "revert"],
        "checking": ["Checked", "Problem", "check"],
        "documents": ["document"],
        "export": ["export_version"],
        "frames": ["Selection", "to_arrow", "to_numpy", "to_pandas", "to_polars"],
        "huggingface": ["to_huggingface", "to_huggingface_table"],
        "local": ["open_local"],
        "pushing": ["Progress", "Pushed", "RowSource", "Tables", "push", "put"],
        "ray": ["to_ray"],
        "read": ["pull", "reader", "schema", "verify"],
        "splitting": ["split"],
    },
)

__all__ = [
    "Checked",
    "MergeConflict",
    "Problem",
    "Progress",
    "Pushed",
    "RowSource",
    "Selection",
    "Tables",
    "check",
    "diff",
    "document",
    "edit",
    "export_version",
    "get",
    "get_version",
    "list_chunks",
    "list_datasets",
    "list_source_files",
    "list_versions",
    "merge",
    "open_local",
    "pull",
    "push",
    "put",
    "reader",
    "resolve",
    "resolve_version",
    "revert",
    "schema",
    "split",
    "to_arrow",
    "to_huggingface",
    "to_huggingface_table",
    "to_numpy",
    "to_pandas",
    "to_polars",
    "to_ray",
    "update",
    "verify",
]
