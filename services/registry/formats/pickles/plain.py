"""Plain pickles: whatever ``pickle.dump`` or joblib wrote. What they would import and call, and what made them."""

from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.pickles.findings import Findings, printable
from services.registry.formats.pickles.opcodes import OPCODES
from services.registry.formats.pickles.scan import Scanned, run_all
from services.registry.formats.pickles.values import Call, Reference, Table, Value, members

_HIGHEST_PROTOCOL = 5
_FRAMEWORKS = ("sklearn", "xgboost", "lightgbm", "catboost", "torch", "tensorflow", "keras", "statsmodels")


def fits(content: Content, budget: Budget | None = None) -> bool:
    """Whether the content begins with a pickle that says its protocol; or is one of those that do not say it, to its
    end, up to a call, or for more than is read."""
    if content.size < 2:
        return False
    first, second, *third = content.read(0, min(3, content.size))
    if first == 0x80:
        return second <= _HIGHEST_PROTOCOL and all(code in OPCODES for code in third)
    if first not in OPCODES:
        return False
    findings = Findings()
    budget = budget or Budget()
    scanned = run_all(content, findings, budget)
    builds = any(isinstance(value, Table | Call | Reference | list | tuple) for value in scanned.values)
    return (
        budget.is_spent or any(each.called for each in findings.globals()) or (builds and scanned.end == content.size)
    )


def could_begin_with(beginning: bytes, budget: Budget) -> bool:
    """Whether a pickle could begin with these bytes; text and numbers hardly ever seem to."""
    if beginning[:1] == b"\x80":
        return len(beginning) > 1 and beginning[1] <= _HIGHEST_PROTOCOL
    if not beginning or beginning[0] not in OPCODES:
        return False
    scanned = run_all(MemoryContent(beginning), Findings(), budget)
    return scanned.cut or not scanned.broken


def read(content: Content, budget: Budget | None = None) -> FileFacts:
    """What the pickles would build and call; what cannot be read of them is a problem, and not an error.

    Args:
        budget: what may be spent on them; that for one file if it is not given.
    """
    findings = Findings()
    scanned = run_all(content, findings, budget or Budget())
    value = scanned.values[0] if scanned.values else None
    framework = _framework(findings)
    return FileFacts(
        Format.PICKLE,
        framework=framework,
        framework_version=_version(value),
        architecture=_class(value),
        globals=findings.globals(),
        problems=[*findings.problems(), *_rest(scanned, content.size)],
    )


def _rest(scanned: Scanned, size: int) -> list[str]:
    if scanned.broken:
        return [f"It is not a pickle to its end, so that what loading it does is not known: {scanned.broken}."]
    if scanned.end < size:
        return [f"After its pickles, from byte {scanned.end} on, follows something else."]
    return []


def _framework(findings: Findings) -> str:
    used = {each.name.partition(".")[0] for each in findings.globals()}
    return next((name for name in _FRAMEWORKS if name in used), "").replace("torch", "pytorch")


def _class(value: Value) -> str:
    """The class of the object itself, if it is one of a class."""
    return printable(value.key[1]) if isinstance(value, Call) and isinstance(value.state, Table) else ""


def _version(value: Value) -> str:
    version = members(value.state).get("_sklearn_version") if isinstance(value, Call) else None
    return printable(version) if isinstance(version, str) else ""
