"""Experiments, over every store."""

import pytest

from chassis.etags import EtagMismatch, etag_of
from chassis.ids import new_id
from headwater.names import ExperimentName, InvalidName, ProjectName
from services.registry.experiments.errors import (
    DefaultExperiment,
    ExperimentAlreadyExists,
    ExperimentArchived,
    ExperimentNotFound,
    InvalidReplacement,
)
from services.registry.experiments.experiments import Experiments
from services.registry.experiments.lifecycle import Lifecycle
from services.registry.experiments.model import About
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectNotFound
from services.registry.projects.model import NewProject
from services.registry.projects.projects import Projects
from services.registry.runs.changes import RunChanges
from services.registry.runs.model import NewRun
from services.registry.runs.runs import Runs
from services.registry.states import State, TransitionNotAllowed

DEFAULT = ProjectName("default")
DIGITS = ExperimentName("default", "digits")
BASE = ExperimentName("default", "default")


def _run(experiment: ExperimentName | None = None, parent: str = "") -> NewRun:
    return NewRun("", "", {}, {}, {}, parent, "", experiment=str(experiment or ""))


async def test_every_project_has_its_default_experiment(
    experiments: Experiments, projects: Projects, runs: Runs, me: Origin
) -> None:
    assert (await experiments.get(BASE)).display_name == "Default"
    await projects.create(NewProject("vision", "", "", {}), me)
    other = await experiments.get(ExperimentName("vision", "default"))
    run = await runs.create(ProjectName("vision"), _run(), me)
    assert (run.experiment, run.experiment_id) == (str(other.name), other.id)


async def test_a_created_experiment_is_found_by_name_and_uid(experiments: Experiments, me: Origin) -> None:
    """M-01, M-02."""
    made = await experiments.create(DIGITS, About("Digits!", "Which digit?", {"team": "vision"}), me)
    assert (made.display_name, made.description, made.tags) == ("Digits!", "Which digit?", {"team": "vision"})
    assert made.state is State.ACTIVE
    assert await experiments.get(DIGITS) == made
    assert await experiments.get(ExperimentName("default", made.id)) == made
    for missing in (ExperimentName("other", "digits"), ExperimentName("default", new_id())):
        with pytest.raises(ExperimentNotFound):
            await experiments.get(missing)


async def test_a_name_is_taken_whatever_its_case_and_a_display_name_as_it_is(
    experiments: Experiments, me: Origin
) -> None:
    """M-02."""
    await experiments.create(DIGITS, About("Digits"), me)
    for name, display_name in (("DIGITS", ""), ("other", "Digits")):
        with pytest.raises(ExperimentAlreadyExists):
            await experiments.create(ExperimentName("default", name), About(display_name), me)
    await experiments.create(ExperimentName("default", "other"), About("digits"), me)
    await experiments.create(ExperimentName("default", "nameless"), About(), me)
    await experiments.create(ExperimentName("default", "nameless-too"), About(), me)
    with pytest.raises(ExperimentAlreadyExists):
        await experiments.describe(ExperimentName("default", "other"), {"display_name": "Digits"}, "", me)
    assert (await experiments.get(ExperimentName("default", "other"))).display_name == "digits"


async def test_an_experiment_needs_its_project_and_a_name_that_is_no_uid(experiments: Experiments, me: Origin) -> None:
    with pytest.raises(ProjectNotFound):
        await experiments.create(ExperimentName("nowhere", "digits"), About(), me)
    with pytest.raises(ProjectNotFound):
        await experiments.page(ProjectName("nowhere"), 10, "")
    with pytest.raises(InvalidName):
        await experiments.create(ExperimentName("default", new_id()), About(), me)


async def test_a_retry_returns_the_first_experiment_by_whatever_name(
    experiments: Experiments, experiment_lifecycle: Lifecycle, me: Origin
) -> None:
    """Promise 4."""
    origin = Origin("tester", "CreateExperiment", "request-1", "digest-1")
    made = await experiments.create(DIGITS, About(), origin)
    renamed = await experiment_lifecycle.rename(DIGITS, "numbers", "", me)
    assert await experiments.create(DIGITS, About(), origin) == renamed
    assert renamed.id == made.id


async def test_what_is_said_of_an_experiment_changes_with_its_etag(experiments: Experiments, me: Origin) -> None:
    """Promise 3."""
    made = await experiments.create(DIGITS, About("Digits"), me)
    changed = await experiments.describe(DIGITS, {"description": "New", "tags": {"a": "b"}}, etag_of(made.revision), me)
    assert (changed.display_name, changed.description, changed.tags) == ("Digits", "New", {"a": "b"})
    assert await experiments.get(DIGITS) == changed
    assert await experiments.describe(DIGITS, {"description": "New"}, "", me) == changed
    with pytest.raises(EtagMismatch):
        await experiments.describe(DIGITS, {"description": "Newer"}, etag_of(made.revision), me)


async def test_a_renamed_experiment_keeps_its_runs_and_frees_its_name(
    experiments: Experiments, experiment_lifecycle: Lifecycle, runs: Runs, me: Origin
) -> None:
    """M-08."""
    made = await experiments.create(DIGITS, About(), me)
    run = await runs.create(DEFAULT, _run(DIGITS), me)
    renamed = await experiment_lifecycle.rename(DIGITS, "numbers", etag_of(made.revision), me)
    assert (await runs.get(run.name)).experiment == str(renamed.name) == "projects/default/experiments/numbers"
    await experiments.create(DIGITS, About(), me)
    with pytest.raises(ExperimentAlreadyExists):
        await experiment_lifecycle.rename(renamed.name, "Digits", "", me)
    with pytest.raises(DefaultExperiment):
        await experiment_lifecycle.rename(BASE, "other", "", me)


async def test_a_deprecated_experiment_takes_runs_and_names_what_to_use_instead(
    experiments: Experiments, experiment_lifecycle: Lifecycle, runs: Runs, me: Origin
) -> None:
    """M-05."""
    await experiments.create(DIGITS, About(), me)
    other = await experiments.create(ExperimentName("default", "other"), About(), me)
    for wrong in (DIGITS, ExperimentName("default", "nothing")):
        with pytest.raises(InvalidReplacement):
            await experiment_lifecycle.deprecate(DIGITS, wrong, "", me)
    deprecated = await experiment_lifecycle.deprecate(DIGITS, other.name, "", me)
    assert (deprecated.state, deprecated.replacement) == (State.DEPRECATED, str(other.name))
    await experiment_lifecycle.rename(other.name, "better", "", me)
    assert (await experiments.get(DIGITS)).replacement == "projects/default/experiments/better"
    assert (await runs.create(DEFAULT, _run(DIGITS), me)).experiment == str(DIGITS)
    listed = [one.experiment for one in (await experiments.page(DEFAULT, 10, "")).items]
    assert listed == ["better", "default"]
    assert (await experiment_lifecycle.reactivate(DIGITS, "", me)).replacement == ""


async def test_an_archived_experiment_frees_its_names_and_takes_no_runs(
    experiments: Experiments, experiment_lifecycle: Lifecycle, runs: Runs, run_changes: RunChanges, me: Origin
) -> None:
    """M-06, M-08, M-09."""
    made = await experiments.create(DIGITS, About("Digits"), me)
    run = await runs.create(DEFAULT, _run(DIGITS), me)
    elsewhere = await runs.create(DEFAULT, _run(), me)
    archived = await experiment_lifecycle.archive(DIGITS, "", me)
    with pytest.raises(ExperimentNotFound):
        await experiments.get(DIGITS)
    by_uid = ExperimentName("default", made.id)
    assert await experiments.get(by_uid) == archived
    assert (await runs.get(run.name)).experiment == str(by_uid)
    with pytest.raises(ExperimentArchived):
        await runs.create(DEFAULT, _run(by_uid), me)
    with pytest.raises(ExperimentArchived):
        await runs.create(DEFAULT, _run(parent=str(run.name)), me)
    with pytest.raises(ExperimentArchived):
        await run_changes.describe(elsewhere.name, {"experiment": by_uid}, "", me)
    with pytest.raises(ExperimentArchived):
        await experiment_lifecycle.rename(by_uid, "numbers", "", me)
    with pytest.raises(TransitionNotAllowed):
        await experiment_lifecycle.deprecate(by_uid, None, "", me)
    assert archived.archived_name == "digits"
    assert made.id in [one.id for one in (await experiments.page(DEFAULT, 10, "", show_inactive=True)).items]
    assert made.id not in [one.id for one in (await experiments.page(DEFAULT, 10, "")).items]

    taken = await experiments.create(DIGITS, About("Digits"), me)
    with pytest.raises(ExperimentAlreadyExists):
        await experiment_lifecycle.reactivate(by_uid, "", me)
    await experiment_lifecycle.rename(taken.name, "second", "", me)
    with pytest.raises(ExperimentAlreadyExists):  # its display name is taken still
        await experiment_lifecycle.reactivate(by_uid, "", me)
    await experiments.describe(ExperimentName("default", "second"), {"display_name": ""}, "", me)
    back = await experiment_lifecycle.reactivate(by_uid, "", me)
    assert (back.name, back.display_name, back.state) == (DIGITS, "Digits", State.ACTIVE)
    assert (await runs.get(run.name)).experiment == str(DIGITS)


async def test_the_default_experiment_stays_in_use(experiment_lifecycle: Lifecycle, me: Origin) -> None:
    with pytest.raises(DefaultExperiment):
        await experiment_lifecycle.archive(BASE, "", me)
    with pytest.raises(TransitionNotAllowed):
        await experiment_lifecycle.reactivate(BASE, "", me)


async def test_experiments_are_searched_page_by_page(experiments: Experiments, me: Origin) -> None:
    """R-28."""
    for number in range(4):
        about = About(f"Trial {number}" if number else "", "", {"team": "vision" if number % 2 else "speech"})
        await experiments.create(ExperimentName("default", f"trial-{number}"), about, me)

    async def found(wanted: str, by: str = "") -> list[str]:
        names, token = [], ""
        while True:
            page = await experiments.page(DEFAULT, 1, token, wanted=wanted, by=by)
            names += [one.experiment for one in page.items]
            token = page.next_page_token
            if not token:
                return names

    assert await found("") == ["trial-3", "trial-2", "trial-1", "trial-0", "default"]
    assert await found("tags.team = 'vision'") == ["trial-3", "trial-1"]
    assert await found("tags.team = 'vision' AND attributes.name LIKE 'Trial%'", "name") == ["trial-1", "trial-3"]
    assert await found("name = 'trial-0' OR display_name ILIKE 'trial 2'", "create_time, name desc") == [
        "trial-0",
        "trial-2",
    ]
    [one] = (await experiments.page(DEFAULT, 10, "", wanted="experiment = 'trial-1'")).items
    assert await found(f"uid = '{one.id}'") == ["trial-1"]
    assert await found("uid = 'x'") == []
    assert await found(f"experiment_id IN ('{one.id}', 'x')") == ["trial-1"]
    assert await found(f"uid != '{one.id}'", "uid") == ["default", "trial-0", "trial-2", "trial-3"]


async def test_a_page_of_experiments_ends_early_where_much_is_said_of_them(
    experiments: Experiments, me: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8: a thousand experiments with two mebibytes of tags each fit into no message."""
    monkeypatch.setattr("services.registry.pages.MAX_PAGE_WEIGHT", 1000)
    for name in ("a", "b"):
        about = About(name, "x" * 32_768, {"note": "y" * 8000, "other": "z" * 8000})
        await experiments.create(ExperimentName("default", name), about, me)
    first = await experiments.page(DEFAULT, 10, "")
    rest = await experiments.page(DEFAULT, 10, first.next_page_token)
    assert [[each.experiment for each in page.items] for page in (first, rest)] == [["b"], ["a", "default"]]
