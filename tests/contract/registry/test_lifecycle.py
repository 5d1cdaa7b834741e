"""The life of a model, over every store: described, renamed, deprecated, archived, back again."""

import asyncio
import dataclasses

import pytest

from chassis.etags import EtagMismatch, etag_of
from headwater.names import ExperimentName, InvalidName, ModelName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.experiments.experiments import Experiments
from services.registry.experiments.lifecycle import Lifecycle as ExperimentLifecycle
from services.registry.experiments.model import About as ExperimentAbout
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Direction
from services.registry.models.errors import InvalidReplacement, ModelAlreadyExists, ModelArchived, ModelNotFound
from services.registry.models.lifecycle import Lifecycle
from services.registry.models.model import About, Comparison, Model, NewObjective, Stage
from services.registry.models.models import Models
from services.registry.moves.aliases import Aliases
from services.registry.moves.model import Why
from services.registry.moves.resolving import Resolver
from services.registry.moves.stages import Stages
from services.registry.origin import Origin
from services.registry.run_links.model import ModelLink, Role
from services.registry.runs.runs import Runs
from services.registry.states import State, TransitionNotAllowed
from services.registry.store import Store
from services.registry.versions.errors import InUse, ModelVersionNotFound
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, a_run, upload, version_of

NUMBERS = ModelName("default", "numbers")


def by_uid(model: Model) -> ModelName:
    return ModelName(model.project, model.id)


async def _version(versions: Versions, artifacts: Artifacts, me: Origin, name: ModelName = DIGITS) -> None:
    await versions.create(name, version_of({"weights.bin": await upload(artifacts, b"weights", me)}), me)


async def test_what_is_said_of_a_model_changes_with_its_etag(models: Models, me: Origin) -> None:
    made = await models.create(DIGITS, About("Digits"), me)
    said = {"display_name": "Numerals", "tags": {"team": "vision"}}
    changed = await models.describe(DIGITS, said, etag_of(made.revision), me)
    assert await models.get(DIGITS) == changed
    assert (changed.display_name, changed.tags, changed.revision) == ("Numerals", {"team": "vision"}, 2)
    with pytest.raises(EtagMismatch):
        await models.describe(DIGITS, {"description": "late"}, etag_of(made.revision), me)
    assert (await models.describe(DIGITS, said, "", me)).revision == 2  # it says so already: nothing changes


async def test_a_renamed_model_is_found_by_its_new_name_and_by_its_uid(
    models: Models, lifecycle: Lifecycle, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """M-01, M-02, M-08."""
    await _version(versions, artifacts, me)
    renamed = await lifecycle.rename(DIGITS, "numbers", "", me)
    assert renamed.name == NUMBERS
    assert await models.get(NUMBERS) == await models.get(by_uid(renamed)) == renamed
    assert (await versions.get(NUMBERS, 1)).name.model == "numbers"
    assert (await versions.get(by_uid(renamed), 1)).name.model == "numbers"
    with pytest.raises(ModelNotFound):
        await models.get(DIGITS)
    with pytest.raises(ModelVersionNotFound):
        await versions.get(DIGITS, 1)
    assert (await models.create(DIGITS, About(), me)).id != renamed.id


async def test_lineage_follows_a_rename(
    runs: Runs, lifecycle: Lifecycle, lineages: Lineages, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    run = await runs.create(DEFAULT, a_run(), me)
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    await versions.create(DIGITS, version_of(files, run.name), me)
    await versions.create(ModelName("default", "digits2"), version_of(files, run.name), me)
    await lifecycle.rename(DIGITS, "numbers", "", me)
    found = await lineages.get(f"{NUMBERS}/versions/1", Direction.UPSTREAM, 20)
    assert str(run.name) in {str(edge.first) for edge in found.edges}
    down = await lineages.get(str(run.name), Direction.DOWNSTREAM, 20)
    assert {edge.second for edge in down.edges} == {
        f"{NUMBERS}/versions/1",
        "projects/default/models/digits2/versions/1",  # whose name only begins like it
    }


async def test_a_retry_of_a_create_finds_the_model_under_its_new_name(models: Models, lifecycle: Lifecycle) -> None:
    """Promise 4."""
    origin = Origin("tester", "CreateModel", "request-1", "digest-1")
    made = await models.create(DIGITS, About(), origin)
    await lifecycle.rename(DIGITS, "numbers", "", origin)
    again = await models.create(DIGITS, About(), origin)
    assert (again.id, again.name) == (made.id, NUMBERS)


async def test_a_retry_finds_what_it_made_though_another_model_has_the_name_by_now(
    models: Models, lifecycle: Lifecycle, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """Promise 4: neither a version nor an objective of the other model."""
    new = version_of({"weights.bin": await upload(artifacts, b"weights", me)})
    objective = NewObjective("accurate", Stage.PRODUCTION, "accuracy", Comparison.AT_LEAST, 0.9)
    register, add = (Origin("tester", method, "request-1", "digest-1") for method in ("register", "add"))
    version = await versions.create(DIGITS, new, register)
    await models.add_objective(DIGITS, objective, add)

    for step in ("renamed", "given to another", "archived"):
        match step:
            case "renamed":
                await lifecycle.rename(DIGITS, "numbers", "", me)
            case "given to another":
                await _version(versions, artifacts, me)
                await models.add_objective(DIGITS, objective, me)
            case "archived":
                await lifecycle.archive(NUMBERS, "", me)
        again = await versions.create(DIGITS, new, register)
        assert (again.model_id, again.id) == (version.model_id, version.id), step
        assert (await models.add_objective(DIGITS, objective, add)).model_id == version.model_id, step


async def test_an_answer_of_the_release_before_is_given_again(
    store: Store, models: Models, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """Promises 4 and 17: it noted the number of the version and the name of the objective alone."""
    objective = NewObjective("accurate", Stage.PRODUCTION, "accuracy", Comparison.AT_LEAST, 0.9)
    new = version_of({"weights.bin": await upload(artifacts, b"weights", me)})
    made, added = await versions.create(DIGITS, new, me), await models.add_objective(DIGITS, objective, me)
    register, add = (Origin("tester", method, "request-1", "digest-1") for method in ("register", "add"))
    async with store.transaction() as tx:
        for origin, answer in ((register, "1"), (add, "accurate")):
            assert await tx.first_answer(origin) is None
            await tx.remember(origin, answer)
    assert (await versions.create(DIGITS, new, register)).id == made.id
    assert await models.add_objective(DIGITS, objective, add) == added


async def test_a_name_that_is_taken_is_refused_whatever_its_case(
    models: Models, lifecycle: Lifecycle, me: Origin
) -> None:
    """M-02."""
    await models.create(DIGITS, About(), me)
    await models.create(NUMBERS, About(), me)
    with pytest.raises(ModelAlreadyExists):
        await lifecycle.rename(DIGITS, "Numbers", "", me)
    assert (await lifecycle.rename(DIGITS, "DIGITS", "", me)).model == "DIGITS"  # its own name, in another case


async def test_a_name_that_looks_like_a_uid_is_refused(models: Models, lifecycle: Lifecycle, me: Origin) -> None:
    """M-01: by its uid a model is found, and only that one."""
    uid = "01900000-0000-7000-8000-00000000000A"
    with pytest.raises(InvalidName):
        await models.create(ModelName("default", uid), About(), me)
    await models.create(DIGITS, About(), me)
    with pytest.raises(InvalidName):
        await lifecycle.rename(DIGITS, uid.lower(), "", me)
    with pytest.raises(ModelNotFound):
        await models.add_objective(
            ModelName("default", uid.lower()), NewObjective("o", Stage.STAGING, "m", Comparison.AT_MOST, 1.0), me
        )


async def test_of_many_who_want_one_name_exactly_one_gets_it(models: Models, lifecycle: Lifecycle, me: Origin) -> None:
    """Promise 3."""
    names = [ModelName("default", f"model-{number}") for number in range(20)]
    for name in names:
        await models.create(name, About(), me)

    async def rename(name: ModelName) -> bool:
        try:
            await lifecycle.rename(name, "digits", "", me)
        except ModelAlreadyExists:
            return False
        return True

    assert sum(await asyncio.gather(*map(rename, names))) == 1


async def test_a_deprecated_model_warns_and_names_its_replacement(
    models: Models,
    lifecycle: Lifecycle,
    versions: Versions,
    artifacts: Artifacts,
    aliases: Aliases,
    resolver: Resolver,
    me: Origin,
) -> None:
    """M-05: it goes on being usable, by name too, but is in no default list."""
    await _version(versions, artifacts, me)
    await models.create(NUMBERS, About(), me)
    deprecated = await lifecycle.deprecate(DIGITS, NUMBERS, "", me)
    assert (deprecated.state, deprecated.replacement) == (State.DEPRECATED, str(NUMBERS))
    assert [model.model for model in (await models.page(DEFAULT, 10, "")).items] == ["numbers"]
    every = await models.page(DEFAULT, 10, "", show_inactive=True)
    assert [model.model for model in every.items] == ["digits", "numbers"]
    await aliases.set(DIGITS, "champion", 1, etag="", why=Why(), origin=me)
    told = f"{DIGITS} is deprecated: use {NUMBERS} instead."
    assert (await resolver.now(DIGITS, "champion")).warning == (await versions.get(DIGITS, 1)).warning == told
    await lifecycle.rename(NUMBERS, "numerals", "", me)
    assert (await models.get(DIGITS)).replacement == "projects/default/models/numerals"
    assert (await lifecycle.reactivate(DIGITS, "", me)).replacement == ""
    assert (await versions.get(DIGITS, 1)).warning == ""


async def test_only_another_model_in_use_replaces_one(models: Models, lifecycle: Lifecycle, me: Origin) -> None:
    await models.create(DIGITS, About(), me)
    archived = await lifecycle.archive((await models.create(NUMBERS, About(), me)).name, "", me)
    for name in (DIGITS, NUMBERS, by_uid(archived)):
        with pytest.raises(InvalidReplacement):
            await lifecycle.deprecate(DIGITS, name, "", me)


async def test_an_archived_model_frees_its_name_and_is_found_by_its_uid(
    models: Models, lifecycle: Lifecycle, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """M-06, M-08, M-09."""
    await _version(versions, artifacts, me)
    archived = await lifecycle.archive(DIGITS, "", me)
    assert (archived.state, archived.model_id, archived.name) == (State.ARCHIVED, "digits", by_uid(archived))
    with pytest.raises(ModelNotFound):
        await models.get(DIGITS)
    assert await models.get(by_uid(archived)) == archived
    assert (await versions.get(by_uid(archived), 1)).name.model == archived.id
    await _version(versions, artifacts, me)  # another model of that name, which is not the old one
    assert (await models.get(DIGITS)).id != archived.id
    assert (await models.page(DEFAULT, 10, "")).items == [await models.get(DIGITS)]
    with pytest.raises(ModelAlreadyExists):
        await lifecycle.reactivate(by_uid(archived), "", me)
    await lifecycle.rename(DIGITS, "numbers", "", me)
    back = await lifecycle.reactivate(by_uid(archived), "", me)
    assert (back.name, back.state, back.archived_name) == (DIGITS, State.ACTIVE, "")
    assert (await versions.get(DIGITS, 1)).name.model == "digits"


async def test_nothing_new_begins_with_an_archived_model(
    models: Models,
    lifecycle: Lifecycle,
    versions: Versions,
    artifacts: Artifacts,
    stages: Stages,
    aliases: Aliases,
    me: Origin,
) -> None:
    """M-06."""
    await _version(versions, artifacts, me)
    name = by_uid(await lifecycle.archive(DIGITS, "", me))
    objective = NewObjective("accurate", Stage.PRODUCTION, "accuracy", Comparison.AT_LEAST, 0.9)
    for refused in (
        _version(versions, artifacts, me, name),
        stages.move(name, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me),
        aliases.set(name, "champion", 1, etag="", why=Why(), origin=me),
        models.add_objective(name, objective, me),
        lifecycle.rename(name, "numbers", "", me),
    ):
        with pytest.raises(ModelArchived):
            await refused
    for impossible in (lifecycle.archive(name, "", me), lifecycle.deprecate(name, None, "", me)):
        with pytest.raises(TransitionNotAllowed):
            await impossible


async def test_a_model_in_use_is_archived_only_by_force(
    lifecycle: Lifecycle, versions: Versions, artifacts: Artifacts, stages: Stages, resolver: Resolver, me: Origin
) -> None:
    await _version(versions, artifacts, me)
    await stages.move(DIGITS, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me)
    with pytest.raises(InUse) as refused:
        await lifecycle.archive(DIGITS, "", me)
    assert "version 1 is in production" in refused.value.message
    archived = await lifecycle.archive(DIGITS, "", me, force=True)
    assert (await resolver.now(by_uid(archived), Stage.PRODUCTION)).version == 1  # for who serves it already


async def test_replacements_of_versions_follow_a_rename(
    store: Store, lifecycle: Lifecycle, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    for _ in range(2):
        await _version(versions, artifacts, me)
    async with store.transaction() as tx:
        version = await tx.versions.get(DIGITS, 1)
        await tx.versions.update(version.changed(version.update_time, replacement=f"{DIGITS}/versions/2"))
    await lifecycle.rename(DIGITS, "numbers", "", me)
    assert (await versions.get(NUMBERS, 1)).replacement == f"{NUMBERS}/versions/2"


async def test_what_runs_read_and_made_follows_a_rename(
    store: Store, runs: Runs, lifecycle: Lifecycle, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    await _version(versions, artifacts, me)
    run = await runs.create(DEFAULT, a_run(), me)
    others = "projects/default/models/digits-2/versions/1"
    async with store.transaction() as tx:
        links = [ModelLink(f"{DIGITS}/versions/1", 3), ModelLink(others, 4)]
        await tx.run_links.put_models(run.id, Role.OUTPUT, links)
    await lifecycle.rename(DIGITS, "numbers", "", me)
    async with store.transaction() as tx:
        found = (await tx.run_links.of([run.id]))[run.id]
    assert [(link.model, link.step) for link in found.model_outputs] == [(f"{NUMBERS}/versions/1", 3), (others, 4)]


async def test_what_runs_refer_to_follows_a_rename(
    models: Models,
    runs: Runs,
    lifecycle: Lifecycle,
    experiments: Experiments,
    experiment_lifecycle: ExperimentLifecycle,
    me: Origin,
) -> None:
    """M-30: to a model, to something of it, to an experiment; and to nothing whose name only begins like it."""
    model = await models.create(DIGITS, About(), me)
    first = ExperimentName("default", "digits")
    await experiments.create(first, ExperimentAbout(), me)
    others = ("projects/default/models/digits-2/versions/1", "projects/other/models/digits")
    said = (f"{DIGITS}/versions/1", others[0], str(DIGITS), str(first), others[1])
    run = await runs.create(DEFAULT, dataclasses.replace(a_run(), references=said), me)
    bare = await runs.create(DEFAULT, a_run(), me)

    await lifecycle.rename(DIGITS, "numbers", "", me)
    await experiment_lifecycle.rename(first, "second", "", me)
    second = "projects/default/experiments/second"
    renamed = (f"{NUMBERS}/versions/1", others[0], str(NUMBERS), second, others[1])
    assert (await runs.get(run.name)).references == renamed
    assert (await runs.get(bare.name)).references == ()

    await lifecycle.archive(NUMBERS, "", me)
    assert (await runs.get(run.name)).references[2] == str(by_uid(model))
