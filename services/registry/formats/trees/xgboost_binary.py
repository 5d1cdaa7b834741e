"""Reads the head of an XGBoost model in the binary form that was the default before 1.0 and was removed in 3.1.

4 bytes    "binf", in what ``save_raw`` gave
136 bytes  LearnerModelParamLegacy: base_score, num_feature, num_class, contain_extra_attrs, contain_eval_metrics,
           major_version, minor_version, num_target, and reserved numbers, each of 4 bytes
text       the objective: its length in 8 bytes, and itself
text       the booster
160 bytes  GBTreeModelParam, if the booster has trees; its first number is how many
"""

import re
import struct

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format, Tensor

_MAGIC = b"binf"
_PARAMETERS = struct.Struct("<fIiiiIII")
_PARAMETERS_BYTES = 136
_MAX_BEGINNING = 512
_OBJECTIVE = re.compile(rb"(binary|count|multi|rank|reg|survival):[a-z_0-9-]{1,64}")
_BOOSTERS = (b"gbtree", b"dart", b"gblinear")


def fits(content: Content) -> bool:
    """Whether an objective and a booster are where they have to be."""
    return _names(_beginning(content)) is not None


def read(content: Content) -> FileFacts:
    """Objective, booster, and how many features, classes and trees."""
    beginning = _beginning(content)
    names = _names(beginning)
    assert names is not None
    objective, booster, position = names
    base_score, features, classes, _, _, major, minor, targets = _PARAMETERS.unpack_from(beginning)
    told = {"objective": objective, "booster": booster, "base_score": f"{base_score:g}", "features": str(features)}
    if classes > 0:
        told["classes"] = str(classes)
    if booster != "gblinear" and position + 4 <= len(beginning):
        told["trees"] = str(struct.unpack_from("<i", beginning, position)[0])
    width = classes if classes > 1 and objective != "multi:softmax" else targets
    return FileFacts(
        Format.XGBOOST,
        inputs=[Tensor("data", "FP32", (-1, features))],
        outputs=[Tensor("prediction", "FP32", (-1, width) if width > 1 else (-1,))],
        properties={**told, "form": "binary"},
        framework="xgboost",
        framework_version=f"{major}.{minor}" if major else "",
        architecture=booster,
    )


def _beginning(content: Content) -> bytes:
    beginning = bytes(content.read(0, min(content.size, _MAX_BEGINNING)))
    return beginning.removeprefix(_MAGIC)


def _names(beginning: bytes) -> tuple[str, str, int] | None:
    """Objective, booster, and where what follows begins."""
    objective, position = _text(beginning, _PARAMETERS_BYTES)
    booster, position = _text(beginning, position)
    if not _OBJECTIVE.fullmatch(objective) or booster not in _BOOSTERS:
        return None
    return objective.decode(), booster.decode(), position


def _text(beginning: bytes, position: int) -> tuple[bytes, int]:
    length = int.from_bytes(beginning[position : position + 8], "little")
    end = position + 8 + min(length, len(beginning))
    return beginning[position + 8 : end], end
