"""Reads what ``torch.export.save`` writes: ``.pt2`` archives of PyTorch 2.8 and later, and the form of 2.1 to 2.7.

A program is JSON (``torch/_export/serde/schema.py``). Loading one is not as harmless as it looks: its guards are run as
Python, its size expressions are evaluated as such, and an operator is any attribute of ``torch`` that its name finds.
"""

from collections.abc import Mapping, Sequence

from services.registry.formats import pickles
from services.registry.formats.archives import zips
from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format, Global, Tensor
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pytorch import payloads, program, saved, script
from services.registry.formats.pytorch.archive import OLD_EXPORT, Archive, kind_of
from services.registry.formats.pytorch.tensors import invalid

_COMPILED = ("data/aotinductor/", "data/executorch/", "data/mtia")
_LIBRARIES = (".so", ".dll", ".dylib", ".cubin", ".o", ".pte")


def read(content: Content, budget: Budget) -> FileFacts:
    """Weights, signature, operators and layers of the archive; of several models, the first's.

    Raises:
        InvalidModelFile: it breaks a rule of the format.
    """
    archive = Archive(content, Findings(), budget)
    names = list(archive.names())
    is_old = archive.member(OLD_EXPORT) is not None
    programs = [OLD_EXPORT] if is_old else [n for n in names if n.startswith("models/") and n.endswith(".json")]
    read_programs = [program.read(payloads.json_of(archive, name), name) for name in programs]
    first = read_programs[0] if read_programs else program.NONE
    tensors, raw = payloads.tensors(archive)
    parts = _nested(archive, [name for name in names if name not in raw], budget)
    if is_old and (state := parts.get("serialized_state_dict.pt")):
        tensors = list(state.tensors)
    known = {name.lower() for name in (*raw, *parts)}
    others = archive.problems_of_others(lambda name: name in known or name.endswith(".json"))
    compiled = [name for name in names if name.startswith(_COMPILED) or name.endswith(_LIBRARIES)]
    return FileFacts(
        Format.TORCH_EXPORT,
        tensors=sorted(tensors, key=lambda tensor: tensor.name),
        inputs=first.inputs,
        outputs=first.outputs,
        properties=archive.notes(),
        framework=saved.FRAMEWORK,
        framework_version=first.torch_version,
        layers=first.layers,
        operators=first.operators,
        opsets=first.opsets,
        globals=_globals(parts),
        code=[*compiled, *(each for one in read_programs for each in one.code)],
        problems=[*_problems(parts, read_programs, compiled), *others],
    )


def _nested(archive: Archive, names: Sequence[str], budget: Budget) -> Mapping[str, FileFacts]:
    """What the members say that are PyTorch files, or pickles, themselves: inputs, constants, objects."""
    parts: dict[str, FileFacts] = {}
    for name in names:
        if name.endswith(".json"):
            continue
        part = archive.part(name)
        if zips.begins_like_it(part):
            parts[name] = _moved(_archive_facts(part, budget), archive, name)
        elif pickles.fits(part, budget):
            parts[name] = pickles.read(part, budget)
        if budget.is_spent:
            raise invalid("it has more pickles, or larger ones, than are looked at")
    return parts


def _archive_facts(part: Content, budget: Budget) -> FileFacts:
    kind = kind_of(part)
    if kind is Format.PYTORCH:
        return saved.read(part, budget)
    if kind is Format.TORCHSCRIPT:
        return script.read(part, budget)
    return FileFacts(problems=["It is an archive that is not PyTorch's, and was not looked into."])


def _moved(facts: FileFacts, archive: Archive, name: str) -> FileFacts:
    """The facts with places in the archive instead of places in its member."""
    member = archive.member(name)
    begin = member.begin if member is not None and not member.compressed else None
    tensors = [_moved_tensor(tensor, begin) for tensor in facts.tensors]
    return FileFacts(facts.format, tensors, globals=facts.globals, code=facts.code, problems=facts.problems)


def _moved_tensor(tensor: Tensor, begin: int | None) -> Tensor:
    if begin is None or tensor.begin < 0:
        return tensor._replace(begin=-1, end=-1)
    return tensor._replace(begin=tensor.begin + begin, end=tensor.end + begin)


def _globals(parts: Mapping[str, FileFacts]) -> list[Global]:
    """All globals of the parts, each once: called if one part calls it."""
    found: dict[str, Global] = {}
    for part in parts.values():
        for each in part.globals:
            known = found.get(each.name, each)
            found[each.name] = Global(each.name, known.called or each.called, known.safe and each.safe)
    return list(found.values())


def _problems(
    parts: Mapping[str, FileFacts], programs: Sequence[program.Program], compiled: Sequence[str]
) -> list[str]:
    problems = [f"{name}: {problem}" for name, part in parts.items() for problem in part.problems]
    problems += [problem for each in programs for problem in each.problems]
    if compiled:
        problems.append(f"Loading it runs compiled code, for example {compiled[0]}.")
    return problems
