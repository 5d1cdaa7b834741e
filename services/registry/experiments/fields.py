"""What experiments can be searched by."""

from services.registry.search.fields import TEXT, TIME, UID, Fields, word_type
from services.registry.states import State

FIELDS = Fields(
    plain={
        "name": TEXT,
        "experiment": TEXT,
        "display_name": TEXT,
        "uid": UID,
        "description": TEXT,
        "created_by": TEXT,
        "state": word_type(State),
        "create_time": TIME,
        "update_time": TIME,
    },
    maps={"tags": TEXT},
    aliases={
        "tag": "tags",
        "experiment_id": "uid",
        "creation_time": "create_time",
        "last_update_time": "update_time",
    },
)
"""``name`` is what people call it: the display name or, where there is none, ``experiment``, the last segment."""
