"""Reads what ``torch.save`` writes: ``data.pkl``, and each storage as a member below ``data/``."""

import dataclasses

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format, Tensor
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.values import Value
from services.registry.formats.pytorch.archive import Archive
from services.registry.formats.pytorch.checkpoint import model_of
from services.registry.formats.pytorch.names import Named
from services.registry.formats.pytorch.tensors import Storages

FRAMEWORK = "pytorch"


def read(content: Content, budget: Budget) -> FileFacts:
    """Tensors, layers and globals of the archive.

    Raises:
        InvalidModelFile: it breaks a rule of the format.
    """
    findings = Findings()
    archive = Archive(content, findings, budget)
    value = archive.unpickle("data.pkl")
    for name in archive.names():
        if name.lower().endswith(".pkl") and name != "data.pkl":
            archive.unpickle(name)
    told = facts(Format.PYTORCH, value, archive.storages("data"), findings, archive.notes())
    others = archive.problems_of_others(lambda name: name.endswith(".pkl"))
    return dataclasses.replace(told, problems=[*told.problems, *others])


def facts(
    format_: Format, value: Value, storages: Storages, findings: Findings, properties: dict[str, str]
) -> FileFacts:
    """What a pickled model, state or checkpoint says, wherever its storages are."""
    model, noted, architecture = model_of(value)
    named = Named(model, storages)
    return FileFacts(
        format_,
        tensors=by_name(named),
        properties={**noted, **properties},
        framework=FRAMEWORK,
        architecture=named.architecture or architecture,
        layers=named.layers(),
        globals=findings.globals(),
        problems=findings.problems(),
    )


def by_name(named: Named) -> list[Tensor]:
    """The tensors, sorted by name as those of other formats are."""
    return sorted(named.tensors.values(), key=lambda tensor: tensor.name)
