"""The command line: ``headwater <noun> <verb>``. Each noun has a module; each command is a few lines over the SDK."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import cyclopts

from headwater.cli import dataset, datastore, deployment, model, pipeline, trace, train
from headwater.cli.render import errors
from headwater.errors import HeadwaterError

app = cyclopts.App(
    name="headwater",
    help="Datasets, preprocessing, training, models and serving, each traced back to its source.",
    version_flags=["--version"],
)
app.command(dataset.app)
app.command(datastore.app)
app.command(pipeline.app)
app.command(train.app)
app.command(model.app)
app.command(deployment.app)
app.command(trace.trace)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Exits with 1 and one clear sentence on standard error when Headwater says no."""
    try:
        app(arguments)
    except HeadwaterError as error:
        _refuse(error.reason, error.message)
    except OSError as error:
        if error.filename is None:
            raise  # not about a file that was named on the command line
        _refuse("FILE_ERROR", f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(reason: str, message: str) -> NoReturn:
    errors.print(f"[bold red]{reason}[/] ", end="")
    errors.print(message, markup=False)
    sys.exit(1)
