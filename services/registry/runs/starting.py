"""Makes runs: what a new one is, from what a caller says of it."""

import datetime

from chassis.ids import new_id
from headwater.names import ExperimentName, RunName
from services.registry.experiments.experiments import check_in_use
from services.registry.experiments.model import DEFAULT, Experiment
from services.registry.projects import use
from services.registry.projects.model import Project
from services.registry.runs.model import NewRun, Run
from services.registry.runs.parameters import merged
from services.registry.runs.tags import inherited, merged_tags
from services.registry.store import Transaction


async def new_run(
    tx: Transaction, project: Project, new: NewRun, actor: str, now: datetime.datetime, run_id: str = ""
) -> Run:
    """The run that ``new`` describes, not added yet. Its id is a new one unless ``run_id`` says which.

    Raises:
        ProjectArchived, ExperimentNotFound, ExperimentArchived
        RunNotFound: the parent run does not exist.
        TooManyParameters, TooManyTags
    """
    use.check_in_use(project)
    parent = await tx.runs.get(RunName.parse(new.parent_run)) if new.parent_run else None
    experiment = await _experiment(tx, project, new, parent)
    return Run(
        id=run_id or new_id(),
        project=project.name,
        project_id=project.id,
        display_name=new.display_name,
        description=new.description,
        state=new.state,
        start_time=new.start_time or now,
        end_time=None,
        parameters=merged({}, new.parameters),
        tags=merged_tags(inherited(parent.tags) if parent else {}, new.tags),
        annotations=new.annotations,
        parent_run=new.parent_run,
        created_by=actor,
        failure="",
        job=new.job,
        experiment=str(experiment.name),
        experiment_id=experiment.id,
        update_time=now,
        references=new.references,
    )


async def _experiment(tx: Transaction, project: Project, new: NewRun, parent: Run | None) -> Experiment:
    """The experiment that a run names, or that of its parent, or the default one. It stays in use until the run is
    there."""
    if new.experiment:
        name = ExperimentName.parse(new.experiment)
    elif parent is not None and parent.project == project.name:
        name = ExperimentName(project.name, parent.experiment_id)
    else:
        name = ExperimentName(project.name, DEFAULT)
    experiment = await tx.experiments.get(name, settled=True)
    check_in_use(experiment)
    return experiment
