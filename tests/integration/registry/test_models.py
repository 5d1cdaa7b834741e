"""Models, their stages and aliases through the running registry: etags, races, times, roles, what is refused."""

import asyncio
import datetime
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from chassis import Service
from chassis.auth import Role
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from headwater.registry.v1 import model_versions_pb2, models_pb2, projects_pb2
from tests.integration.registry.client import DEFAULT, DIGITS, Client

Stage = artifact_pb2.ModelMetadata.Stage
EVIDENCE = model_versions_pb2.Evidence(description="report", uri="https://example.com", digest=f"sha256:{'a' * 64}")


def move(number: int, stage: Any, **fields: Any) -> models_pb2.SetModelVersionStageRequest:
    return models_pb2.SetModelVersionStageRequest(name=f"{DIGITS}/versions/{number}", stage=stage, **fields)


async def test_a_model_is_described_by_mask_and_etag(client: Client) -> None:
    said = models_pb2.Model(display_name="Digits", description="Reads digits", tags={"team": "vision"})
    made = await client.models.CreateModel(
        models_pb2.CreateModelRequest(parent=DEFAULT, model_id="digits", model=said, request_id="r1")
    )
    assert (made.state, dict(made.tags), made.model_id) == (models_pb2.Model.STATE_ACTIVE, {"team": "vision"}, "digits")
    changed = models_pb2.Model(name=DIGITS, etag=made.etag, display_name="Numerals", description="not asked for")
    request = models_pb2.UpdateModelRequest(model=changed, update_mask=FieldMask(paths=["display_name", "tags"]))
    updated = await client.models.UpdateModel(request)
    assert (updated.display_name, updated.description, dict(updated.tags)) == ("Numerals", "Reads digits", {})
    assert updated.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    with pytest.raises(Aborted):
        await client.models.UpdateModel(request)
    for path in ("uid", "stages", "no_such_field"):
        request = models_pb2.UpdateModelRequest(
            model=models_pb2.Model(name=DIGITS), update_mask=FieldMask(paths=[path])
        )
        with pytest.raises(InvalidArgument):
            await client.models.UpdateModel(request)


async def test_what_an_update_cannot_change_is_refused_unless_a_mask_says_what_is_meant(client: Client) -> None:
    """Whoever thinks that an update sets an alias or a state is told; whoever sends back what was read names fields."""
    await client.register(b"weights")
    model = await client.models.GetModel(models_pb2.GetModelRequest(name=DIGITS))
    for said in (
        models_pb2.Model(name=DIGITS, aliases={"champion": "1"}),
        models_pb2.Model(name=DIGITS, state=models_pb2.Model.STATE_ARCHIVED),
        models_pb2.Model(name=DIGITS, model_id="numbers"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await client.models.UpdateModel(models_pb2.UpdateModelRequest(model=said))
        assert refused.value.reason == "INVALID_FIELD"
    project = artifact_pb2.Project(name=DEFAULT, state=artifact_pb2.Project.STATE_ARCHIVED)
    with pytest.raises(InvalidArgument):
        await client.projects.UpdateProject(projects_pb2.UpdateProjectRequest(project=project))
    model.description = "Reads digits"
    mask = FieldMask(paths=["description"])
    changed = await client.models.UpdateModel(models_pb2.UpdateModelRequest(model=model, update_mask=mask))
    assert changed.description == "Reads digits"


@pytest.mark.parametrize(
    "said",
    [
        models_pb2.Model(description="x" * 32_769),
        models_pb2.Model(display_name="x" * 256),
        models_pb2.Model(tags={str(number): "" for number in range(257)}),
        models_pb2.Model(tags={"": "no key"}),
        models_pb2.Model(uid="mine"),
        models_pb2.Model(state=models_pb2.Model.STATE_ARCHIVED),
    ],
)
async def test_what_a_model_cannot_be_is_refused(client: Client, said: models_pb2.Model) -> None:
    """M-07: 32,768 characters, and not one more."""
    with pytest.raises(InvalidArgument):
        await client.models.CreateModel(models_pb2.CreateModelRequest(parent=DEFAULT, model_id="digits", model=said))
    longest = models_pb2.Model(description="é" * 32_768)
    await client.models.CreateModel(models_pb2.CreateModelRequest(parent=DEFAULT, model_id="digits", model=longest))


async def test_a_model_lives_under_its_uid_whatever_it_is_called(client: Client) -> None:
    """M-01, M-06, M-08."""
    await client.register(b"weights")
    uid = (await client.models.GetModel(models_pb2.GetModelRequest(name=DIGITS))).uid
    by_uid = f"{DEFAULT}/models/{uid}"
    await client.models.RenameModel(models_pb2.RenameModelRequest(name=DIGITS, model_id="numbers"))
    assert (await client.models.GetModel(models_pb2.GetModelRequest(name=by_uid))).name == f"{DEFAULT}/models/numbers"
    archived = await client.models.ArchiveModel(models_pb2.ArchiveModelRequest(name=by_uid))
    assert (archived.name, archived.model_id) == (by_uid, "numbers")
    version = await client.models.GetModelVersion(models_pb2.GetModelVersionRequest(name=f"{by_uid}/versions/1"))
    assert (version.name, version.model_uid) == (f"{by_uid}/versions/1", uid)
    with pytest.raises(NotFound):
        await client.models.GetModel(models_pb2.GetModelRequest(name=f"{DEFAULT}/models/numbers"))
    request = models_pb2.ListModelsRequest(parent=DEFAULT, show_inactive=True, filter="state = 'archived'")
    assert [model.uid for model in (await client.models.ListModels(request)).models] == [uid]
    alias = models_pb2.SetModelAliasRequest(name=by_uid, alias="champion", version="1")
    with pytest.raises(FailedPrecondition) as refused:
        await client.models.SetModelAlias(alias)
    assert refused.value.reason == "MODEL_ARCHIVED"


async def test_of_fifty_who_move_an_alias_with_one_etag_exactly_one_wins(client: Client) -> None:
    """Promise 3, and whoever reads then sees what won."""
    for _ in range(2):
        await client.register(b"weights")
    etag = (await client.models.GetModel(models_pb2.GetModelRequest(name=DIGITS))).etag

    async def set_alias(number: int) -> str:
        version = str(1 + number % 2)
        request = models_pb2.SetModelAliasRequest(name=DIGITS, alias="champion", version=version, etag=etag)
        try:
            await client.models.SetModelAlias(request)
        except Aborted:
            return ""
        return version

    [won] = filter(None, await asyncio.gather(*map(set_alias, range(50))))
    found = await client.models.ResolveModelVersion(
        models_pb2.ResolveModelVersionRequest(name=DIGITS, alias="Champion")
    )
    assert found.version == won
    changes = await client.models.ListAliasChanges(models_pb2.ListAliasChangesRequest(parent=DIGITS))
    assert [change.to_version for change in changes.alias_changes] == [f"{DIGITS}/versions/{won}"]


async def test_whoever_asks_after_a_move_gets_its_result(client: Client) -> None:
    """Promise 3: nothing between is remembered, and the histories say the same."""
    for _ in range(2):
        await client.register(b"weights")
    request = models_pb2.ResolveModelVersionRequest(name=DIGITS, stage=Stage.STAGE_PRODUCTION)
    moved: list[tuple[str, Timestamp]] = []
    for turn in range(10):
        number = str(1 + turn % 2)
        await client.models.SetModelVersionStage(move(int(number), Stage.STAGE_PRODUCTION, evidence=[EVIDENCE]))
        assert (await client.models.ResolveModelVersion(request)).version == number
        transitions = models_pb2.ListStageTransitionsRequest(parent=DIGITS, page_size=1)
        [last] = (await client.models.ListStageTransitions(transitions)).stage_transitions
        assert list(last.evidence) == [EVIDENCE]
        moved.append((number, last.time))
    for number, time in moved:
        request.time.CopyFrom(time)
        assert (await client.models.ResolveModelVersion(request)).version == number


async def test_a_view_says_how_much_is_resolved(client: Client) -> None:
    await client.register(b"weights")
    await client.models.SetModelVersionStage(move(1, Stage.STAGE_STAGING))
    for view in (model_versions_pb2.MODEL_VERSION_VIEW_BASIC, model_versions_pb2.MODEL_VERSION_VIEW_FULL):
        by_stage = models_pb2.ResolveModelVersionRequest(name=DIGITS, stage=Stage.STAGE_STAGING, view=view)
        by_number = models_pb2.GetModelVersionRequest(name=f"{DIGITS}/versions/1", view=view)
        found = await client.models.ResolveModelVersion(by_stage)
        assert found == await client.models.GetModelVersion(by_number)


def _at(request: models_pb2.ResolveModelVersionRequest, time: Timestamp) -> models_pb2.ResolveModelVersionRequest:
    copy = models_pb2.ResolveModelVersionRequest(time=time)
    copy.MergeFrom(request)
    return copy


def _times() -> Sequence[Timestamp]:
    ahead = Timestamp()
    ahead.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5))
    return [ahead, Timestamp(seconds=2**62), Timestamp(seconds=-(2**62)), Timestamp(nanos=-1)]


async def test_what_cannot_be_resolved_is_explained(client: Client) -> None:
    await client.register(b"weights")
    await client.models.SetModelVersionStage(move(1, Stage.STAGE_PRODUCTION))
    production = models_pb2.ResolveModelVersionRequest(name=DIGITS, stage=Stage.STAGE_PRODUCTION)
    for request, expected in (
        *((_at(production, time), InvalidArgument) for time in _times()),
        (models_pb2.ResolveModelVersionRequest(name=DIGITS), InvalidArgument),
        (models_pb2.ResolveModelVersionRequest(name=DIGITS, stage=Stage.STAGE_DEVELOPMENT), InvalidArgument),
        (models_pb2.ResolveModelVersionRequest(name=DIGITS, alias="../x"), InvalidArgument),
        (models_pb2.ResolveModelVersionRequest(name=DIGITS, alias="champion"), NotFound),
        (models_pb2.ResolveModelVersionRequest(name=DIGITS, stage=Stage.STAGE_STAGING), NotFound),
        (_at(production, Timestamp(seconds=1)), NotFound),
        (models_pb2.ResolveModelVersionRequest(name=f"{DEFAULT}/models/nobody", alias="champion"), NotFound),
    ):
        with pytest.raises(expected):
            await client.models.ResolveModelVersion(request)


async def test_what_cannot_be_compared_is_explained(client: Client) -> None:
    await client.register(b"weights")
    one, other = f"{DIGITS}/versions/1", f"{DIGITS}/versions/9"
    for names, expected in (
        ([], InvalidArgument),
        ([one], InvalidArgument),
        ([one] * 11, InvalidArgument),
        ([one, "x"], InvalidArgument),
        ([one, other], NotFound),
    ):
        with pytest.raises(expected):
            await client.models.CompareModelVersions(model_versions_pb2.CompareModelVersionsRequest(names=names))


async def test_evidence_must_be_what_it_says(client: Client) -> None:
    await client.register(b"weights")
    for evidence in (model_versions_pb2.Evidence(digest="sha256:abc"), model_versions_pb2.Evidence(uri="x" * 4097)):
        with pytest.raises(InvalidArgument):
            await client.models.SetModelVersionStage(move(1, Stage.STAGE_STAGING, evidence=[evidence]))


async def test_only_who_approves_moves_stages_and_only_who_writes_changes_models(
    registry: Service, client: Client, client_of: Callable[..., Client]
) -> None:
    """Promise 14."""
    await client.register(b"weights")
    reader, writer = client_of(registry, Role.READER), client_of(registry, Role.WRITER)
    with pytest.raises(PermissionDenied):
        await writer.models.SetModelVersionStage(move(1, Stage.STAGE_STAGING))
    for refused in (
        reader.models.RenameModel(models_pb2.RenameModelRequest(name=DIGITS, model_id="numbers")),
        reader.models.ArchiveModel(models_pb2.ArchiveModelRequest(name=DIGITS)),
        reader.models.SetModelAlias(models_pb2.SetModelAliasRequest(name=DIGITS, alias="champion", version="1")),
        reader.models.UpdateModel(models_pb2.UpdateModelRequest(model=models_pb2.Model(name=DIGITS))),
    ):
        with pytest.raises(PermissionDenied):
            await refused
    await reader.models.ListAliasChanges(models_pb2.ListAliasChangesRequest(parent=DIGITS))
    await writer.models.RenameModel(models_pb2.RenameModelRequest(name=DIGITS, model_id="numbers"))


async def test_many_renames_and_creates_at_once_leave_every_name_once(client: Client) -> None:
    """M-02: whatever the order, one model has the name, and nobody hears anything but yes or that it is taken."""
    for number in range(10):
        await client.models.CreateModel(models_pb2.CreateModelRequest(parent=DEFAULT, model_id=f"m{number}"))

    async def attempt(number: int) -> bool:
        try:
            if number % 2:
                rename = models_pb2.RenameModelRequest(name=f"{DEFAULT}/models/m{number}", model_id="Wanted")
                await client.models.RenameModel(rename)
            else:
                await client.models.CreateModel(models_pb2.CreateModelRequest(parent=DEFAULT, model_id="wanted"))
        except AlreadyExists:
            return False
        return True

    assert sum(await asyncio.gather(*map(attempt, range(10)))) == 1
    request = models_pb2.ListModelsRequest(parent=DEFAULT, filter="name ILIKE 'wanted'")
    assert len((await client.models.ListModels(request)).models) == 1
