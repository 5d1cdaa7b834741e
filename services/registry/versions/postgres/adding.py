"""Adding a version to PostgreSQL: its row, those of its files and those of its metrics, in one statement.

Registering is as quick as its round trips are few, and a thousand files are one value here.
"""

from typing import Any

from sqlalchemy import ARRAY, Double, Text, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from services.registry.tables import model_files, model_version_metrics, model_versions
from services.registry.versions.model import ModelVersion
from services.registry.versions.postgres.rows import file_row, version_row

_OF_FILE = [each for each in model_files.c if each.name != "version_id"]
_FILE = (
    func.jsonb_to_recordset(bindparam("files", type_=JSONB))
    .table_valued(*(column(each.name, each.type) for each in _OF_FILE), name="file")
    .render_derived(with_types=True)
)
_VERSION = insert(model_versions).values({each.name: bindparam(each.name) for each in model_versions.c})
_METRICS = insert(model_version_metrics).from_select(
    ["version_id", "key", "value"],
    select(
        bindparam("id", type_=model_versions.c.id.type),
        func.unnest(bindparam("metric_keys", type_=ARRAY(Text))),
        func.unnest(bindparam("metric_values", type_=ARRAY(Double))),
    ),
)
_STATEMENT = (
    insert(model_files)
    .from_select(
        ["version_id", *(each.name for each in _OF_FILE)],
        select(bindparam("id", type_=model_versions.c.id.type), *(_FILE.c[each.name] for each in _OF_FILE)),
    )
    .add_cte(_VERSION.cte("version"), _METRICS.cte("metrics"))
)


def adding(version: ModelVersion) -> tuple[Any, dict[str, Any]]:
    """The statement that adds ``version``, and its parameters."""
    return _STATEMENT, {
        **version_row(version),
        "files": [file_row(file) for file in version.files],
        "metric_keys": list(version.metrics),
        "metric_values": list(version.metrics.values()),
    }
