"""Model packages of MLSpec, and ways to change them."""

import copy
from pathlib import Path
from typing import Any

import yaml

from headwater import packaging

EXAMPLES = Path(__file__).parents[2] / "data" / "packages"
"""MLSpec's own examples, each line as it stands there but for the comments, and indented as they mean it."""
WHOLE: dict[str, Any] = yaml.safe_load((EXAMPLES / "model_packaging.yaml").read_text())
GENERAL = {"name": "digits", "framework": {"name": "pytorch"}}


def changed(path: str, value: object = None, document: dict[str, Any] | None = None) -> str:
    """A document, or MLSpec's whole package, with one field changed or, where no value is given, left out."""
    whole = copy.deepcopy(WHOLE if document is None else document)
    at: Any = whole
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return yaml.safe_dump(whole, sort_keys=False)


def errors_of(text: str | bytes) -> dict[str, str]:
    """What is wrong with a document, by the fields' paths."""
    try:
        packaging.read(text)
    except packaging.InvalidPackage as error:
        return {remark.path: remark.message for remark in error.remarks}
    return {}


def warnings_of(text: str) -> dict[str, str]:
    """What is odd about a document, by the fields' paths."""
    return {remark.path: remark.message for remark in packaging.read(text).warnings}


def package(**sections: Any) -> packaging.ModelPackage:
    """A model package with these sections."""
    document = packaging.read(yaml.safe_dump({**GENERAL, **sections})).document
    assert isinstance(document, packaging.ModelPackage)
    return document
