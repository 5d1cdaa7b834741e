"""What files hold, as JSON: the form in which stores keep it. What is empty is left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.registry.formats import ExternalData, FileFacts, Format, Global, Layer, Signature, Tensor


def to_json(facts: FileFacts) -> dict[str, Any]:
    """Everything that ``facts`` says."""
    said: dict[str, Any] = {
        "format": int(facts.format),
        "tensors": tensors_to_json(facts.tensors),
        "inputs": tensors_to_json(facts.inputs),
        "outputs": tensors_to_json(facts.outputs),
        "signatures": {
            name: [tensors_to_json(each.inputs), tensors_to_json(each.outputs)]
            for name, each in facts.signatures.items()
        },
        "properties": dict(facts.properties),
        "external": [[each.location, each.end] for each in facts.external],
        "framework": [facts.framework, facts.framework_version] if facts.framework else [],
        "architecture": facts.architecture,
        "layers": [[layer.name, layer.kind] for layer in facts.layers],
        "operators": dict(facts.operators),
        "opsets": dict(facts.opsets),
        "globals": [[each.name, each.called, each.safe] for each in facts.globals],
        "code": list(facts.code),
        "problems": list(facts.problems),
        "members": {path: to_json(member) for path, member in facts.members.items()},
    }
    return {key: value for key, value in said.items() if value}


def from_json(said: Mapping[str, Any]) -> FileFacts:
    """The other way of :func:`to_json`."""
    framework, framework_version = said.get("framework") or ("", "")
    return FileFacts(
        format=Format(said.get("format", 0)),
        tensors=tensors_from_json(said.get("tensors", ())),
        inputs=tensors_from_json(said.get("inputs", ())),
        outputs=tensors_from_json(said.get("outputs", ())),
        signatures={
            name: Signature(tensors_from_json(inputs), tensors_from_json(outputs))
            for name, (inputs, outputs) in said.get("signatures", {}).items()
        },
        properties=said.get("properties", {}),
        external=[ExternalData(*each) for each in said.get("external", ())],
        framework=framework,
        framework_version=framework_version,
        architecture=said.get("architecture", ""),
        layers=[Layer(*each) for each in said.get("layers", ())],
        operators=said.get("operators", {}),
        opsets=said.get("opsets", {}),
        globals=[Global(*each) for each in said.get("globals", ())],
        code=said.get("code", []),
        problems=said.get("problems", []),
        members={path: from_json(member) for path, member in said.get("members", {}).items()},
    )


def tensors_to_json(tensors: Sequence[Tensor]) -> list[list[Any]]:
    """Name, type and shape of each, and where it lies if it does."""
    return [
        [each.name, each.datatype, list(each.shape), *((each.begin, each.end) if each.begin >= 0 else ())]
        for each in tensors
    ]


def tensors_from_json(rows: Sequence[Sequence[Any]]) -> list[Tensor]:
    """The other way of :func:`tensors_to_json`."""
    return [Tensor(name, datatype, tuple(shape), *where) for name, datatype, shape, *where in rows]


def weight(facts: FileFacts) -> int:
    """How many small values a file holds, as pages are weighed."""
    held = (facts.tensors, facts.layers, facts.operators, facts.globals, facts.code, facts.problems, facts.properties)
    signatures = sum(len(each.inputs) + len(each.outputs) for each in facts.signatures.values())
    return sum(map(len, held)) + signatures + sum(5 + weight(member) for member in facts.members.values())
