"""A train section or a recipe → a training job here; what cannot run here is refused by its field's path."""

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from headwater import code, datasets, jobs, references
from headwater.client import Connection
from headwater.errors import FailedPrecondition
from headwater.files import Source
from headwater.names import DEFAULT_PROJECT
from headwater.packaging import local, plugins
from headwater.packaging.documents import Reading
from headwater.packaging.general import HEADWATER, Stored
from headwater.packaging.model import ModelPackage
from headwater.packaging.recipe import TrainingRecipe
from headwater.packaging.remarks import Remark
from headwater.packaging.stages import Train
from headwater.packaging.values import slug
from headwater.training.v1 import jobs_pb2

_SHELL: Final = re.compile(r"\$[A-Za-z_{(]|`|(?:^|\s)(?:\|\|?|&&?|;|<|>>?)(?:\s|$)")
_PYTHON: Final = re.compile(r"python[0-9.]*")
_PYTHON_3: Final = re.compile(r"python ?(3[0-9.]*)?", re.IGNORECASE)
_LAUNCHERS: Final = ("local", "ray")


class CannotTrainHere(FailedPrecondition):
    """The document asks for what Headwater's training does not do; ``violations`` name every field."""

    reason = "CANNOT_TRAIN_HERE"

    def __init__(self, remarks: Sequence[Remark]) -> None:
        self.violations = [(remark.path, remark.message) for remark in remarks]
        super().__init__("; ".join(map(str, remarks)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job to be."""

    code: Path
    command: tuple[str, ...]
    dataset: str
    """What is trained on, as ``digits@v1.0.0``."""
    rows: Path | None = None
    """Files that are made the next version of ``dataset`` first."""
    model: str
    workers: int = 1
    launcher: str = "local"
    parameters: Mapping[str, jobs.Parameter]
    warnings: tuple[str, ...] = ()
    """What the document says and the job does not do, though it can be trained without."""


def submit(connection: Connection, plan: Plan, *, project: str = DEFAULT_PROJECT) -> jobs_pb2.TrainingJob:
    """Store the code and, where they lie here, the rows; submit the job.

    Raises:
        HeadwaterError: what storing, or the training service, says.
    """
    if plan.rows:
        version = datasets.push(connection, plan.dataset, Source(plan.rows), project=project).version.name
    else:
        version = datasets.resolve_version(connection, plan.dataset, project=project)
    return jobs.submit(
        connection,
        code=code.upload(connection, plan.code, project=project).name,
        command=plan.command,
        dataset_version=version,
        model=references.model(plan.model, project),
        parameters=plan.parameters,
        worker_count=plan.workers,
        launcher=plan.launcher,
        display_name=plan.model,
        project=project,
    )


def plan(reading: Reading, folder: Path) -> Plan:
    """What would be submitted; local paths are within ``folder``.

    Raises:
        CannotTrainHere: with every field that asks for something else.
        LocalFileRefused: see :mod:`headwater.packaging.local`.
    """
    match reading.document:
        case ModelPackage() as package:
            return _Planner(reading, folder).package(package)
        case TrainingRecipe() as recipe:
            return _Planner(reading, folder).recipe(recipe)
    raise CannotTrainHere([Remark("", f"a {reading.document.TITLE} has nothing to train", reading.place(""))])


class _Planner:
    """Notes every field that cannot be done here before it gives a plan."""

    def __init__(self, reading: Reading, folder: Path) -> None:
        self._reading = reading
        self._folder = folder
        self._refused: list[Remark] = []
        self._warnings: list[str] = []

    def package(self, package: ModelPackage) -> Plan:
        train = package.train
        if train is None or not train.trainable:
            self._refuse("train.trainable", "is not true: there is nothing to train")
            raise CannotTrainHere(self._refused)
        here = {store.name for store in package.data_stores if store.type == HEADWATER}
        self._elsewhere(package, train)
        folder = self._code(train)
        dataset, rows = self._data(train, here)
        model = self._model(package, train, here)
        command, launcher, workers = self._execution(train, folder)
        parameters = self._parameters(train.training_params)
        if self._refused or folder is None:
            raise CannotTrainHere(self._refused)
        return Plan(
            code=folder,
            command=command,
            dataset=dataset,
            rows=rows,
            model=model,
            workers=workers,
            launcher=launcher,
            parameters=parameters,
            warnings=tuple(self._warnings),
        )

    def recipe(self, recipe: TrainingRecipe) -> Plan:
        model, dataset = recipe.model, recipe.dataset
        assert model is not None
        assert dataset is not None
        script: Path | None = None
        if not model.source or "://" in model.source or not model.source.endswith(".py"):
            self._refuse("model.source", "must name a .py file beside the document: nothing is fetched")
        else:
            script = local.path(self._folder, model.source, "model.source")
        assert recipe.framework is not None
        self._runtime("framework.runtime", recipe.framework.runtime)
        if recipe.framework.requirement:
            self._warn("framework.requirement", "is not installed: workers have the packages that their scheduler has")
        if dataset.source:
            self._refuse("dataset.source", "is not fetched: push the rows as a dataset, and name it and its version")
        parameters = {
            **self._parameters(recipe.training_params),
            **self._parameters(plugins.parameters(recipe.data_process) if recipe.data_process else {}),
            **self._parameters({"model_architecture": recipe.model_architecture}),
        }
        if self._refused or script is None:
            raise CannotTrainHere(self._refused)
        version = f"@{_version(dataset.version)}" if dataset.version else ""
        return Plan(
            code=script.parent,
            command=(script.name,),
            dataset=f"{slug(dataset.name)}{version}",
            model=slug(model.name),
            parameters=parameters,
            warnings=tuple(self._warnings),
        )

    def _refuse(self, path: str, message: str) -> None:
        self._refused.append(Remark(path, message, self._reading.place(path)))

    def _warn(self, path: str, message: str) -> None:
        self._warnings.append(str(Remark(path, message, self._reading.place(path))))

    def _runtime(self, path: str, runtime: str) -> None:
        """Refuse what is not Python 3; workers run in the Python that their scheduler has."""
        if runtime and not _PYTHON_3.fullmatch(runtime):
            self._refuse(path, f"is {runtime}, and workers run in Python 3")

    def _elsewhere(self, package: ModelPackage, train: Train) -> None:
        """What only other platforms have."""
        if train.training_container_image:
            self._refuse("train.training_container_image", "is not run here: workers run in Headwater's own Python")
        if train.mount_type:
            self._refuse("train.mount_type", "is not done here: workers read rows by headwater.training.session()")
        if train.evaluation_metrics and train.evaluation_metrics.type != HEADWATER:
            self._refuse("train.evaluation_metrics.type", "must be headwater: workers log metrics to their run")
        if package.framework and package.framework.runtimes:
            runtimes = package.framework.runtimes
            self._runtime("framework.runtimes", f"{runtimes.name}{runtimes.version}")
        if train.data_source and train.data_source.training_data_url:
            self._refuse("train.data_source.training_data_url", "is not fetched: push the rows as a dataset")
        if train.model_training_results and train.model_training_results.trained_model_local:
            path = "train.model_training_results.trained_model_local"
            self._warn(path, "is not written to: the model is registered")
        for at, step in enumerate(package.process):
            if step.name.startswith("training"):
                self._refuse(f"process[{at}]", f"{step.name} is not run here: do it in the training's own code")

    def _code(self, train: Train) -> Path | None:
        source = train.model_source
        at = source.initial_model_local if source else None
        if at and at.path:
            folder = local.path(self._folder, at.path, "train.model_source.initial_model_local.path")
            return folder if folder.is_dir() else folder.parent
        self._refuse("train.model_source.initial_model_local.path", "must name the code: nothing is fetched")
        return None

    def _data(self, train: Train, here: set[str]) -> tuple[str, Path | None]:
        source = train.data_source
        assert source is not None
        data = source.training_data
        assert data is not None
        if not self._named_here(data, here, "train.data_source.training_data", "digits@v1.0.0"):
            return "", None
        at = source.training_data_local
        if not (at and at.path):
            return data.path, None
        rows = local.path(self._folder, at.path, "train.data_source.training_data_local.path")
        return data.path.partition("@")[0], rows

    def _model(self, package: ModelPackage, train: Train, here: set[str]) -> str:
        results = train.model_training_results
        assert results is not None
        assert results.trained_model is not None
        if self._named_here(results.trained_model, here, "train.model_training_results.trained_model", "digits"):
            return results.trained_model.path.partition("@")[0]
        return slug(package.model_identifier or package.name)

    def _named_here(self, stored: Stored, here: set[str], path: str, example: str) -> bool:
        if stored.data_store not in here:
            self._refuse(f"{path}.data_store", f"must be a data store of type {HEADWATER}: no bucket is read")
        elif not stored.path:
            self._refuse(f"{path}.path", f"must name it, as in {example}")
        else:
            return True
        return False

    def _execution(self, train: Train, folder: Path | None) -> tuple[tuple[str, ...], str, int]:
        execution = train.execution
        assert execution is not None
        compute = execution.compute_configuration
        assert compute is not None
        if compute.name not in _LAUNCHERS:
            message = f"is {compute.name}, a size of another platform; here it is who starts the workers: local or ray"
            self._refuse("train.execution.compute_configuration.name", message)
        path = "train.execution.command"
        if _SHELL.search(execution.command):
            self._refuse(path, "needs a shell, and is run without one: write a script and its arguments")
            return (), "", 0
        try:
            words = shlex.split(execution.command)
        except ValueError as error:
            self._refuse(path, f"is no command: {error}")
            return (), "", 0
        if len(words) > 1 and _PYTHON.fullmatch(words[0]) and words[1].endswith(".py"):
            words = words[1:]  # The scheduler runs scripts with its own Python.
        if words[0].endswith(".py") and folder and not (folder / words[0]).is_file():
            self._refuse(path, f"runs {words[0]}, which is not in {folder.name}")
        return tuple(words), compute.name, compute.nodes

    def _parameters(self, given: Mapping[str, Any]) -> dict[str, jobs.Parameter]:
        """Parameters by their names, of nested ones `optimizer.name`. Lists are JSON; what is null is not given."""
        found: dict[str, jobs.Parameter] = {}
        for key, value in given.items():
            if isinstance(value, Mapping):
                found |= {f"{key}.{below}": each for below, each in self._parameters(value).items()}
            elif isinstance(value, list):
                found[key] = json.dumps(value)
            elif value is not None:
                found[key] = value
        return found


def _version(text: str) -> str:
    """``1.0`` → ``v1.0.0``."""
    numbers = text.removeprefix("v").split(".")
    return "v" + ".".join([*numbers, "0", "0"][:3]) if all(map(str.isdigit, numbers)) else text
