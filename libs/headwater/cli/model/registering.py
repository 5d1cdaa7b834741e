"""Registering versions and saying more of them."""

from pathlib import Path
from typing import Annotated

import cyclopts

from headwater import model_preprocessing, model_versions, models, references
from headwater.artifact.v1 import artifact_pb2
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.model.showing import show_version
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT


@app.command
def register(
    model: str,
    /,
    *files: Path,
    semantic_version: Annotated[str, cyclopts.Parameter(name=["--version", "--semantic-version"])] = "",
    framework: str = "",
    architecture: str = "",
    task: str = "",
    description: str = "",
    metadata: words.Several = (),
    annotation: words.Several = (),
    tag: words.Several = (),
    dataset: words.Several = (),
    run: str = "",
    logged_model: str = "",
    source: str = "",
    preprocessing: str = "",
    samples: Annotated[tuple[Path, ...], cyclopts.Parameter(negative="")] = (),
    project: str = DEFAULT_PROJECT,
) -> None:
    """Register files as the next version of a model, which is made when it is new.

    Format, tensors and signature are read from the files; nothing in them is executed.

    Parameters
    ----------
    model
        digits, for example.
    files
        Its files; of a folder all files in it, under their paths within it.
    semantic_version
        v1.2.3: higher than all before, and a major step when the signature breaks callers.
    framework
        What trained it: pytorch, for example; read from the files when left out, as is what follows.
    architecture
        resnet50, for example.
    task
        What it is for: image-classification, for example.
    description
        Free text.
    metadata
        What else is known, key=value; may be given several times. params=25M, accuracy=0.92, author=Ada,
        training_date=2025-01-02, training_dataset=imagenet-v1 and hyperparameters={"lr": 0.1} are understood.
    annotation
        A free pair, key=value; may be given several times.
    tag
        A word for grouping; may be given several times.
    dataset
        What it was trained on: digits@v1.0.0, for example; may be given several times.
    run
        The run that made it, as a resource name; its parameters and last metrics are copied.
    logged_model
        The logged model that it is, as a resource name.
    source
        Where it comes from, as text.
    preprocessing
        The pipeline that prepares its inputs: digits-prep@1.0.0, or a JSON or YAML file; by itself that of
        the run's data.
    samples
        Images, folders of images, or .npz archives of its inputs, of which it is kept what the version answers, to be
        compared before it is served; may be given several times.
    project
        The project of the model.
    """
    name = references.model(model, project)
    found = models.files_in(files)
    with Connection.discover() as connection:
        prepared = _prepared(connection, preprocessing, project)
        version = models.register(
            connection,
            name,
            found,
            preprocessing=prepared,
            parity=model_preprocessing.parity_of(found, samples, prepared) if samples else None,
            semantic_version=semantic_version,
            framework=framework,
            architecture=architecture,
            task=task,
            description=description,
            user_metadata=words.pairs(metadata, "metadata"),
            annotations=words.pairs(annotation, "annotation"),
            tags=tag,
            dataset_versions=[str(references.dataset_version(each, project)) for each in dataset],
            run=run,
            logged_model=logged_model,
            source=source,
        )
    show_version(version)


def _prepared(connection: Connection, pipeline: str, project: str) -> artifact_pb2.Preprocessing | None:
    if not pipeline:
        return None
    file = Path(pipeline)
    is_file = file.suffix in (".json", ".yaml", ".yml")
    return model_preprocessing.preprocessing(connection, file if is_file else pipeline, project=project)


@app.command
def update(
    version: str,
    *,
    description: str | None = None,
    annotation: words.Several | None = None,
    tag: words.Several | None = None,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Say something about a version; what is not given stays as it is. Its files never change.

    Parameters
    ----------
    version
        digits@3, for example.
    description
        Free text.
    annotation
        Free pairs, key=value, in the place of those that are there; may be given several times.
    tag
        Words for grouping, in the place of those that are there; may be given several times.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        changed = model_versions.update(
            connection,
            references.model_version(version, project),
            description=description,
            annotations=None if annotation is None else words.pairs(annotation, "annotation"),
            tags=tag,
        )
    show_version(changed)
