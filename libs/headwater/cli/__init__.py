"""The command line: ``headwater <noun> <verb>``. Each noun has a module; each command is a few lines over the SDK.

A noun's module is imported when a command of it runs, or help is asked for.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import cyclopts

from headwater.cli.render import errors, warn
from headwater.errors import HeadwaterError

_NOUNS = {
    "project": ("headwater.cli.project:app", "Projects: workspaces, the scope of every other name."),
    "dataset": ("headwater.cli.dataset.every:app", "Datasets: versioned rows with a digest."),
    "datastore": ("headwater.cli.datastore:app", "Datastores: folders, buckets and databases that rows are read from."),
    "pipeline": ("headwater.cli.pipeline:app", "Preprocessing pipelines."),
    "train": ("headwater.cli.train:app", "Training jobs."),
    "experiment": ("headwater.cli.experiment:app", "Experiments: runs that belong together."),
    "run": ("headwater.cli.run.every:app", "Runs: what executed, what it was given and what it measured."),
    "model": ("headwater.cli.model.every:app", "Registered models: versions, objectives, stages."),
    "artifact": ("headwater.cli.artifact:app", "Immutable bytes by digest, and what runs made."),
    "package": ("headwater.cli.package:app", "Model packages: MLSpec's YAML documents about models."),
    "deployment": ("headwater.cli.deployment.every:app", "What is served, and by which version."),
    "guard": ("headwater.cli.guard:app", "How a deployment defends itself against a version that fails."),
    "incident": ("headwater.cli.incident:app", "Incidents: what went wrong with something served, with the evidence."),
    "record": ("headwater.cli.record:app", "Records of inference requests, and feedback on them."),
    "lineage": ("headwater.cli.lineage:app", "Lineage: what came from what, and what depends on it."),
    "trace": ("headwater.cli.trace:trace", "Show where a prediction comes from."),
}

_ALONE = {("dataset", "push"): "headwater.cli.dataset.pushing"}
"""Commands that have to be fast when they have nothing to do: of their noun nothing else is imported."""


def _app(nouns: dict[str, tuple[str, str]]) -> cyclopts.App:
    app = cyclopts.App(
        name="headwater",
        help="Datasets, preprocessing, training, models and serving, each traced back to its source.",
        version_flags=["--version"],
    )
    for name, (home, description) in nouns.items():
        app.command(home, name=name, help=description)
    return app


app = _app(_NOUNS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Exits with 1 and one clear sentence on standard error when Headwater says no."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    alone = _ALONE.get((given[0], given[1])) if len(given) > 1 else None
    if alone is not None:
        importlib.import_module(alone)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            (app if alone is None else _app(_NOUNS | {given[0]: (f"{alone}:app", "")}))(given)
    except HeadwaterError as error:
        _refuse(error.reason, error.message)
    except OSError as error:
        if error.filename is None:
            raise  # not about a file that was named on the command line
        _refuse("FILE_ERROR", f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    """What users should know, without the line of code that says so."""
    warn([str(message)])


def _refuse(reason: str, message: str) -> NoReturn:
    errors.print(f"[bold red]{reason}[/] ", end="")
    errors.print(message, markup=False)
    sys.exit(1)
