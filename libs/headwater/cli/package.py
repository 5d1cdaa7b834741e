"""``headwater package``: model packages, MLSpec's YAML documents about models."""

import datetime
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import cyclopts

from headwater import packaging
from headwater.cli.render import facts, output, table, warn
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT

app = cyclopts.App(name="package", help="Model packages: MLSpec's YAML documents about models.")


class WrongKind(InvalidArgument):
    """The document is of another kind than the command is for."""

    reason = "WRONG_KIND"


@app.command
def check(*files: Path) -> None:
    """Say everything that is wrong or odd in documents: each field by its path, and its line. Exits with 1 on errors.

    Parameters
    ----------
    files
        Model packages, model descriptions, training recipes, records of experiments.
    """
    rows: list[tuple[str, str, str, str]] = []
    broken = False
    for file in files:
        try:
            reading = packaging.read_file(file)
        except packaging.InvalidPackage as error:
            broken = True
            rows += [_row(file, "error", remark) for remark in error.remarks]
        else:
            rows += [_row(file, "warning", remark) for remark in reading.warnings]
            if expired := _expired(reading):
                broken = True
                rows.append(_row(file, "error", expired))
            elif not reading.warnings:
                rows.append((str(file), "ok", "", f"a {reading.document.TITLE}"))
    table(("where", "what", "field", ""), rows)
    if broken:
        sys.exit(1)


def _expired(reading: packaging.Reading) -> packaging.Remark | None:
    document = reading.document
    if isinstance(document, packaging.ModelDescription) and document.is_expired(datetime.datetime.now(datetime.UTC)):
        return packaging.Remark("expiry", "has passed: the model may not be used any more", reading.place("expiry"))
    return None


def _row(file: Path, what: str, remark: packaging.Remark) -> tuple[str, str, str, str]:
    return f"{file}:{remark.place.line}:{remark.place.column}", what, remark.path, remark.message


@app.command(name="format")
def format_(file: Path, *, write: bool = False, fill_serving: bool = False) -> None:
    """Print a document as it is written canonically: spelt right, in order, without secrets in clear.

    Parameters
    ----------
    file
        The document.
    write
        Replace the file instead of printing; comments in it are lost.
    fill_serving
        Of a package that trains: fill its serving section from where the trained model goes.
    """
    document = _read(file).document
    if fill_serving:
        from headwater.packaging.filling import filled_serving

        document = filled_serving(_package(document, file))
    text = packaging.write(document)
    if write:
        _replace(file, text)
    else:
        output.print(text, end="", markup=False)


@app.command
def openapi(file: Path, *, model: str = "", server: str = "", version: str = "1") -> None:
    """Print the OpenAPI 3.1 document of the model's service, to generate clients from.

    Parameters
    ----------
    file
        A model description with a service_schema or features; or a package whose score section names schemas beside it.
    model
        What the model is called; the package's own name when empty.
    server
        The service's URL.
    version
        The version of the service.
    """
    from headwater.packaging import openapi as documents
    from headwater.packaging.contract import Contract

    match _read(file).document:
        case packaging.ModelDescription() as description:
            contract, name, said = Contract.of_description(description), model or file.stem, description.purpose
        case packaging.ModelPackage() as package:
            contract, said = Contract.of_package(package, file.parent), package.description
            name = model or package.model_identifier or package.name or file.stem
        case other:
            raise WrongKind(f"{file} is a {other.TITLE}, which describes no service.")
    made = documents.document(
        contract, title=name, model=packaging.slug(name), version=version, description=said, server=server
    )
    output.print(json.dumps(made, indent=2, ensure_ascii=False), markup=False)


@app.command
def register(
    file: Path,
    *,
    model: str = "",
    semantic_version: Annotated[str, cyclopts.Parameter(name=["--version", "--semantic-version"])] = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Register what a document describes: a model and, of the files that it names beside it, a version; or a run.

    Parameters
    ----------
    file
        A model package, a model description or a record of an experiment.
    model
        The model's name; the package's model_identifier or name when empty.
    semantic_version
        v1.2.3: higher than all before, and a major step when the signature breaks callers.
    project
        The project of the model.
    """
    from headwater.cli.model.showing import warn_of
    from headwater.packaging.recording import record
    from headwater.packaging.registering import register as register_model

    document = _read(file).document
    if isinstance(document, packaging.ExperimentRecord) and (model or semantic_version):
        raise WrongKind(f"{file} is a {document.TITLE}, which becomes a run: it takes no --model and no --version.")
    with Connection.discover() as connection:
        match document:
            case packaging.ExperimentRecord():
                recorded = record(connection, document, file.parent, project=project)
                facts(experiment=recorded.run.experiment, run=recorded.run.name, name=recorded.run.display_name)
                facts(note="" if recorded.is_new else "it was recorded before, and stays as it is")
            case packaging.ModelPackage() | packaging.ModelDescription():
                done = register_model(
                    connection, document, file.parent, model=model, semantic_version=semantic_version, project=project
                )
                warn(done.warnings)
                facts(model=done.model, version=done.version and done.version.name)
                if done.version:
                    warn_of(done.version)
            case _:
                raise WrongKind(f"{file} is a {document.TITLE}; train it with `headwater package train`.")


@app.command
def train(
    file: Path, *, watch: bool = True, filled: Path | None = None, dry_run: bool = False, project: str = DEFAULT_PROJECT
) -> None:
    """Train what a document describes. What it asks for that cannot be done here is refused, by the field's path.

    Parameters
    ----------
    file
        A model package with a train section, or a training recipe.
    watch
        Follow the job until it ends.
    filled
        Where to write the package with its serving section filled, once the job has registered the model.
    dry_run
        Print what would be submitted, and submit nothing.
    project
        The project of everything.
    """
    from headwater.cli.train import follow, report
    from headwater.packaging import submitting
    from headwater.packaging.filling import served_from_headwater

    reading = _read(file)
    plan = submitting.plan(reading, file.parent)
    warn(plan.warnings)
    if filled and (dry_run or not watch):
        raise InvalidArgument("--filled needs a job that is watched until it ends.", field="filled")
    package = _package(reading.document, file) if filled else None
    if dry_run:
        parameters = " ".join(f"{key}={value}" for key, value in plan.parameters.items())
        facts(code=plan.code, command=" ".join(plan.command), dataset=plan.dataset, rows=plan.rows, model=plan.model)
        facts(workers=plan.workers, launcher=plan.launcher, parameters=parameters)
        return
    with Connection.discover() as connection:
        job = submitting.submit(connection, plan, project=project)
        warn(job.warnings)
        if watch:
            job = follow(connection, job.name)
    report(job)
    if package and filled:
        model, _, number = job.model_version.partition("/versions/")
        served = served_from_headwater(package, f"{model.rpartition('/')[2]}@{number}")
        _replace(filled, packaging.write(served))
        facts(filled=filled)


@app.command
def convert(file: Path) -> None:
    """Convert the model that a package's convert section names to ONNX, and compare what both compute.

    Reading the model runs the code in it, on this machine: convert only models that you trust.
    """
    from headwater.packaging import converting

    done = converting.convert(_package(_read(file).document, file), file.parent)
    facts(model=done.path, largest_difference=f"{done.largest_difference:.3g}")


def _read(file: Path) -> packaging.Reading:
    reading = packaging.read_file(file, str(file))
    warn(f"{file}:{remark.place.line}: {remark.path}: {remark.message}" for remark in reading.warnings)
    return reading


def _replace(file: Path, text: str) -> None:
    """Write a file whole or, where that fails, leave what is there; of a link, what it leads to."""
    target = file.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _package(document: packaging.Document, file: Path) -> packaging.ModelPackage:
    if not isinstance(document, packaging.ModelPackage):
        raise WrongKind(f"{file} is a {document.TITLE} and not a {packaging.ModelPackage.TITLE}.")
    return document
