"""What the JSON of an exported program says: its signature, operators and layers, and what loading it would execute."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.registry.formats.facts import Layer, Tensor
from services.registry.formats.pickles.findings import MAX_PROBLEMS, printable
from services.registry.formats.pytorch import reaching
from services.registry.formats.pytorch.payloads import datatype_of, of
from services.registry.formats.pytorch.tensors import invalid

_MAX_RANK = 64
_OPERATOR = re.compile(r"torch\.ops\.[A-Za-z]\w*\.[A-Za-z_]\w*(\.\w+)?")
_HIGHER = re.compile(r"torch\.ops\.higher_order\.\w+")
# Arithmetic on sizes, which graphs call besides operators.
_PLAIN = re.compile(r"(_operator|math)\.[a-z]+|torch\.(sym_[a-z]+|_sym_[a-z]+)")
_NOT_PLAIN = frozenset({"_operator.attrgetter", "_operator.methodcaller", "_operator.itemgetter", "_operator.call"})
_TOKEN = re.compile(r"\s+|\d+(\.\d+)?(e[+-]?\d+)?|[A-Za-z_]\w*|[-+*/%<>=!&|~^(),.:\[\]]|'[\w ]*'|\"[\w ]*\"")
_WORDS = re.compile(
    # Symbols; what sizes are computed with; what guards ask of inputs.
    r"[suz]\d+|u?f\d+|zuf\d+|Max|Min|Mod|Abs|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Pow|Floor|Ceil|Integer|Float|Rational|oo|int_oo|"
    r"floor|ceiling|sqrt|log|exp|TruncToInt|TruncToFloat|RoundToInt|RoundDecimal|FloatPow|PowByNatural|IntTrueDiv|"
    r"FloatTrueDiv|FloorDiv|CleanDiv|CeilDiv|CeilToInt|FloorToInt|PythonMod|ModularIndexing|Where|ToFloat|Identity|"
    r"IsNonOverlappingAndDenseIndicator|BitwiseFn_bitwise_\w+|Piecewise|True|False|None|true|false|"
    r"Symbol|positive|negative|nonnegative|nonpositive|integer|real|finite|"
    r"L|and|or|not|is|in|size|stride|shape|storage_offset|dim|numel|math|isnan|inf|nan|len"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """See FileFacts for what each is."""

    inputs: Sequence[Tensor] = ()
    outputs: Sequence[Tensor] = ()
    operators: Mapping[str, int] = dataclasses.field(default_factory=dict)
    opsets: Mapping[str, int] = dataclasses.field(default_factory=dict)
    layers: Sequence[Layer] = ()
    torch_version: str = ""
    code: Sequence[str] = ()
    problems: Sequence[str] = ()


NONE = Program()


def read(program: Any, where: str) -> Program:
    """The facts of one program.

    Raises:
        InvalidModelFile: it has not the form of one.
    """
    root = of(program)
    module = of(root.get("graph_module"))
    graph, signature = of(module.get("graph")), of(module.get("signature"))
    operators: dict[str, int] = {}
    layers: dict[str, str] = {}
    problems: dict[str, None] = {}
    for value in _objects(root):
        target = value.get("target")
        if isinstance(target, str) and "inputs" in value:
            name = target.removeprefix("torch.ops.")
            operators[printable(name)] = operators.get(printable(name), 0) + 1
            if not _is_operator(target):
                problems[f"Running it calls {printable(target)}, which is no operator, or one that reaches files."] = (
                    None
                )
            layers.update(_layers(value.get("metadata")))
        operator = value.get("as_operator")
        if isinstance(operator, str) and not _is_operator(operator):
            problems[f"Running it calls {printable(operator)}, which is no operator, or one that reaches files."] = None
        expression = value.get("expr_str")
        if isinstance(expression, str) and not is_arithmetic(expression):
            problems[f"Loading it evaluates {printable(expression)!r} as Python."] = None
    said = root.get("guards_code")
    guards = [each for each in said if isinstance(each, str)] if isinstance(said, list) else []
    for guard in guards:
        if not is_arithmetic(guard):
            problems[f"Loading it runs the guard {printable(guard)!r} as Python."] = None
    metas = of(graph.get("tensor_values"))
    version = root.get("torch_version")
    return Program(
        inputs=_tensors(signature.get("input_specs"), "user_input", metas),
        outputs=_tensors(signature.get("output_specs"), "user_output", metas),
        operators=operators,
        opsets={
            printable(k): v for k, v in of(root.get("opset_version")).items() if isinstance(v, int) and 0 <= v < 2**31
        },
        layers=[Layer(printable(name), printable(kind)) for name, kind in layers.items() if name],
        torch_version=printable(version) if isinstance(version, str) else "",
        code=[f"{where}: {len(guards)} guards"] if guards else [],
        problems=list(problems)[:MAX_PROBLEMS],
    )


def is_arithmetic(text: str) -> bool:
    """Whether the expression can do nothing but compute with sizes: every word in it is a known one."""
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or (token[0][0].isidentifier() and not _WORDS.fullmatch(token[0])):
            return False
        position = token.end()
    return True


def _is_operator(target: str) -> bool:
    if _PLAIN.fullmatch(target):
        return target not in _NOT_PLAIN
    parts = target.split(".")
    harmless = "__" not in target and reaching.OPERATORS.isdisjoint(parts)
    return harmless and bool(_OPERATOR.fullmatch(target) or _HIGHER.fullmatch(target))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in the JSON, in the order of the text."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _layers(metadata: Any) -> dict[str, str]:
    """The modules that a node stands in: ``L__self__fc,fc,torch.nn.modules.linear.Linear``, separated by semicolons."""
    stack = metadata.get("nn_module_stack") if isinstance(metadata, dict) else None
    if not isinstance(stack, str):
        return {}
    parts = (each.split(",") for each in stack.split(";"))
    return {part[1]: part[2].rpartition(".")[2] for part in parts if len(part) == 3}


def _tensors(specs: Any, kind: str, metas: Mapping[str, Any]) -> list[Tensor]:
    tensors = []
    for spec in specs if isinstance(specs, list) else ():
        argument = of(of(of(spec).get(kind, {})).get("arg", {})).get("as_tensor")
        if argument is None:
            continue  # a weight, or a number
        name = of(argument).get("name")
        meta = of(metas.get(name) if isinstance(name, str) else None)
        tensors.append(Tensor(printable(str(name)), datatype_of(meta.get("dtype"))[0], _shape(meta.get("sizes"))))
    return tensors


def _shape(sizes: Any) -> tuple[int, ...]:
    if not isinstance(sizes, list) or len(sizes) > _MAX_RANK:
        raise invalid("a shape is none")
    numbers = [of(each).get("as_int") for each in sizes]
    return tuple(each if isinstance(each, int) and 0 <= each < 2**63 else -1 for each in numbers)
