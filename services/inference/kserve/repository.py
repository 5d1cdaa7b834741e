"""Loading and unloading of models, as the model repository extension has it: resuming and pausing of deployments.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md

Both are kept with the deployment, so that they outlive the process and hold for every replica.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import TypeAlias

from headwater.errors import FailedPrecondition
from services.inference.deployments.deployments import Deployments
from services.inference.deployments.follower import Follower
from services.inference.deployments.model import Deployment, State
from services.inference.deployments.serving import Serving
from services.inference.errors import InvalidRequest, ModelNotFound, NotSupported, UnknownParameter
from services.inference.kserve.parameters import Value
from services.inference.tensors.errors import shown

Parameters: TypeAlias = Mapping[str, Value | bytes]

_MAX_BATCH_ROWS = 65_536  # as in deployments.proto


class LoadFailed(FailedPrecondition):
    """The model is not loaded; the text says why."""

    reason = "LOAD_FAILED"


class Repository:
    """Pauses deployments and lets them go on."""

    def __init__(self, deployments: Deployments, serving: Serving) -> None:
        self._deployments = deployments
        self._serving = serving

    async def load(self, name: str, parameters: Parameters) -> None:
        """Let ``name`` answer; returns when it does. What has failed before is tried again.

        Raises:
            ModelNotFound: no deployment has this name.
            LoadFailed: it does not answer after an attempt to load it.
            NotSupported, UnknownParameter, InvalidRequest: a parameter asks for something that is not done here.
            EtagMismatch: somebody else configures the deployment in this moment.
        """
        max_batch_rows = _max_batch_rows(name, parameters)
        # As it is now, and not as this process saw it last: whoever configures it meanwhile loses nothing.
        deployment = await self._deployments.get(self._follower(name).deployment.name)
        changes: dict[str, object] = {"unloaded": False} if deployment.options.unloaded else {}
        if max_batch_rows is not None:
            changes["batching"] = dataclasses.replace(deployment.options.batching, max_batch_rows=max_batch_rows)
        await self._change(deployment, changes)
        self._follower(name).forget_failures()
        # What was begun with the deployment as it was before may have to end first.
        for _attempt in range(2):
            await self._serving.step()
            follower = self._follower(name)
            await follower.settle()
            if follower.loaded is not None and follower.status.state is not State.FAILED:
                return
        why = follower.status.why or "no version that it could serve can be found or fetched now"
        raise LoadFailed(f"failed to load {shown(name)}: {why}")

    async def unload(self, name: str, parameters: Parameters) -> None:
        """Let ``name`` answer no more, until it is loaded again. What was accepted is answered.

        Raises:
            ModelNotFound: no deployment has this name.
            UnknownParameter, InvalidRequest: a parameter asks for something that is not done here.
            EtagMismatch: somebody else configures the deployment in this moment.
        """
        for parameter, value in parameters.items():
            if parameter != "unload_dependents":
                raise UnknownParameter(
                    f"failed to unload {shown(name)}: there is no parameter {shown(parameter)}; "
                    "unload_dependents is known."
                )
            if not isinstance(value, bool):  # either is the same here: no deployment depends on another one
                raise InvalidRequest(f"failed to unload {shown(name)}: unload_dependents must be true or false.")
        deployment = await self._deployments.get(self._follower(name, doing="unload").deployment.name)
        await self._change(deployment, {} if deployment.options.unloaded else {"unloaded": True})
        await self._serving.step()

    def _follower(self, name: str, doing: str = "load") -> Follower:
        try:
            return self._serving.follower(name)
        except ModelNotFound as error:
            raise ModelNotFound(f"failed to {doing} {shown(name)}: no deployment has this name.", model=name) from error

    async def _change(self, deployment: Deployment, changes: Mapping[str, object]) -> None:
        if changes:
            await self._deployments.update(deployment.name, deployment.etag, options=changes)


def _max_batch_rows(name: str, parameters: Parameters) -> int | None:
    """The one thing of a model's configuration that can be given with a load; None if it is not."""
    for parameter in sorted(parameters):
        if parameter.startswith("file:"):
            raise NotSupported(
                f"failed to load {shown(name)}: files come from the registry; register a version.", parameter=parameter
            )
        if parameter != "config":
            raise UnknownParameter(
                f"failed to load {shown(name)}: there is no parameter {shown(parameter)}; config is known."
            )
    return _rows_of(name, parameters["config"]) if "config" in parameters else None


def _rows_of(name: str, text: Value | bytes) -> int | None:
    try:
        config = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise InvalidRequest(f"failed to load {shown(name)}: config must be a JSON object.")
    for field in config:
        if field != "max_batch_size":
            raise NotSupported(
                f"failed to load {shown(name)}: {shown(field)} of config cannot be changed; max_batch_size can, "
                "and everything else with headwater.inference.v1.DeploymentService.",
                field=field,
            )
    rows = config.get("max_batch_size")
    if rows is None:
        return None
    if not (str(rows).isascii() and str(rows).isdigit() and 1 <= int(rows) <= _MAX_BATCH_ROWS):
        raise InvalidRequest(f"failed to load {shown(name)}: max_batch_size must be from 1 to {_MAX_BATCH_ROWS}.")
    return int(rows)
