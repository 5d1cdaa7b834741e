"""Parameters of a run: set once, each with one value for ever."""

import json
from collections.abc import Mapping

from services.registry.runs.errors import ParameterConflict, TooManyParameters
from services.registry.runs.model import MAX_PARAMETERS, MAX_SAID_BYTES
from services.registry.values import Json, same_value


def merged(present: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    """``present`` and ``new`` together.

    Raises:
        ParameterConflict: naming the parameter that has another value already.
        TooManyParameters: more than MAX_PARAMETERS, or than MAX_SAID_BYTES as JSON.
    """
    for key, value in new.items():
        if key in present and not same_value(present[key], value):
            raise ParameterConflict(parameter=key)
    together = {**new, **present}
    if len(together) > MAX_PARAMETERS:
        raise TooManyParameters(limit=MAX_PARAMETERS)
    if len(json.dumps(together, ensure_ascii=False).encode()) > MAX_SAID_BYTES:
        raise TooManyParameters("The parameters of the run would be too long.", limit_bytes=MAX_SAID_BYTES)
    return together
