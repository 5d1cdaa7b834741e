"""What goes into a TorchScript model and what comes out, as its code says in the head of ``forward``.

The code names inputs and their types but no shapes; what a traced model was traced with says these for its inputs.
"""

from collections.abc import Mapping, Sequence

from services.registry.formats.facts import Signature, Tensor
from services.registry.formats.pickles.findings import printable
from services.registry.formats.pickles.values import Call, Value, members
from services.registry.formats.pytorch.tensors import tensor_of

_MAX_HEAD_LINES = 500
_TYPES = {"int": "INT64", "float": "FP64", "bool": "BOOL", "str": "BYTES"}
_NOTHING = Signature((), ())


def forward(module: str, class_: str, code: Mapping[str, str], examples: Sequence[Tensor]) -> Signature:
    """The signature of the class's ``forward``; an empty one if the code does not have it in the usual form.

    A tensor whose type is not known has an empty one. Outputs have no names in the code and are called ``output_0``
    and so on.
    """
    text = code.get(f"code/{module.replace('.', '/')}.py", "")
    head = _head(text.split("\n"), class_)
    inside, arrow, output = head.partition(") -> ")
    if not arrow or not output.endswith(":"):
        return _NOTHING
    inputs = [_argument(each) for each in _split(inside)[1:]]
    if len(examples) == len(inputs):
        inputs = [example._replace(name=each.name) for each, example in zip(inputs, examples, strict=True)]
    kinds = [output[:-1]]
    if kinds[0].startswith("Tuple[") and kinds[0].endswith("]"):
        kinds = _split(kinds[0][len("Tuple[") : -1])
    return Signature(inputs, [_value(f"output_{index}", kind) for index, kind in enumerate(kinds)])


def traced_inputs(value: Value) -> list[Tensor]:
    """The tensors that ``forward`` was traced with, out of ``traced_inputs.pkl``; none if it had others too."""
    inputs = _untagged(members(_untagged(value)).get("forward"))
    tensors = [tensor_of(each, _Nowhere()) for each in inputs] if isinstance(inputs, list) else []
    known = [tensor for tensor in tensors if tensor is not None]
    return known if len(known) == len(tensors) else []


class _Nowhere:
    """Storages of examples, whose bytes the archive leaves out."""

    def begin(self, key: str, size: int) -> int:
        """See Storages."""
        return -1


def _untagged(value: Value) -> Value:
    if isinstance(value, Call) and value.key == ("torch.jit._pickle", "restore_type_tag") and value.arguments:
        return value.arguments[0]
    return value


def _head(lines: Sequence[str], class_: str) -> str:
    """The head of ``forward`` in the class, on one line, from after its opening parenthesis on."""
    inside = False
    for number, line in enumerate(lines):
        if line.startswith("class "):
            inside = line.startswith(f"class {class_}(")
        elif inside and line.startswith("  def forward("):
            head = ""
            for each in lines[number : number + _MAX_HEAD_LINES]:
                head += each.strip() + " "
                if each.endswith(":"):
                    return head.strip().removeprefix("def forward(")
    return ""


def _split(text: str) -> list[str]:
    """The parts between commas that are in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(") - (character in "])")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _argument(text: str) -> Tensor:
    name, _, kind = text.partition(":")
    return _value(name.strip(), kind.partition("=")[0].strip())


def _value(name: str, kind: str) -> Tensor:
    return Tensor(printable(name), _TYPES.get(kind, ""), ())
