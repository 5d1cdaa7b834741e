"""Reads TorchScript archives: modules in ``data.pkl``, their code as text below ``code/``.

The code is run by PyTorch's own interpreter, which reaches no Python; but it can read and write files.
"""

import re
from collections.abc import Iterable, Mapping

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles import allowed
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.values import Call, Value
from services.registry.formats.pytorch import reaching
from services.registry.formats.pytorch.archive import Archive
from services.registry.formats.pytorch.forward import forward, traced_inputs
from services.registry.formats.pytorch.names import Named
from services.registry.formats.pytorch.saved import FRAMEWORK, by_name

_MAX_CODE = 4 * 2**20
_MAX_ALL_CODE = 16 * 2**20
_PICKLED = (".pkl", ".debug_pkl")
_OPERATOR = re.compile(r"\b(?:torch|ops\.(?P<set>\w+))\.(?P<name>\w+)\(")


def is_own(module: str, name: str) -> bool:
    """Whether a pickle's global is a class of the archive's own code, or a helper that only TorchScript uses."""
    return module.partition(".")[0] == "__torch__" or (module, name) in allowed.TORCHSCRIPT


def read(content: Content, budget: Budget) -> FileFacts:
    """See the module.

    Raises:
        InvalidModelFile: it breaks a rule of the format.
    """
    findings = Findings(is_own)
    archive = Archive(content, findings, budget)
    values = {name: archive.unpickle(name) for name in archive.names() if name.lower().endswith(_PICKLED)}
    root = values["data.pkl"]
    named = Named(root, archive.storages("data"))
    code = _code(archive)
    operators = _operators(code.values())
    problems = [f"Its code names torch.{name}, which reaches files." for name in reaching.named_in(code.values())]
    problems += archive.problems_of_others(lambda name: name.endswith(_PICKLED) or _is_code(name))
    signature = forward(*_class_of(root), code, traced_inputs(values.get("traced_inputs.pkl")))
    return FileFacts(
        Format.TORCHSCRIPT,
        tensors=by_name(named),
        inputs=signature.inputs,
        outputs=signature.outputs,
        properties=archive.notes(),
        framework=FRAMEWORK,
        architecture=named.architecture,
        layers=named.layers(),
        operators=operators,
        globals=findings.globals(),
        code=list(code),
        problems=[*findings.problems(), *problems],
    )


def _code(archive: Archive) -> dict[str, str]:
    """The archive's code by its place."""
    code: dict[str, str] = {}
    left = _MAX_ALL_CODE
    for name in archive.names():
        # PyTorch finds members by their name in any case.
        if _is_code(name.lower()):
            text = archive.read(name, min(_MAX_CODE, left))
            left -= len(text)
            code[name] = text.decode("utf-8", "replace")
    return code


def _is_code(name: str) -> bool:
    return name.startswith("code/") and name.endswith(".py")


def _operators(code: Iterable[str]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for text in code:
        for found in _OPERATOR.finditer(text):
            space = found["set"]
            name = found["name"] if space in (None, "aten") else f"{space}::{found['name']}"
            counts[name] = counts.get(name, 0) + 1
    return counts


def _class_of(root: Value) -> tuple[str, str]:
    """Module and name of the outermost class."""
    return root.key if isinstance(root, Call) else ("", "")
