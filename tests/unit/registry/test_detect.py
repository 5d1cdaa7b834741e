"""The format is told by the content, and content that nobody knows is never executed or refused."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest

from services.registry.formats import Format, inspect
from tests.data.models.onnx_files import linear_model
from tests.data.models.safetensors_files import safetensors

CANARY = "HEADWATER_TEST_CANARY"


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return os.putenv, (CANARY, "touched")


def _zip_of_pickle() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/version", "3")
        archive.writestr("archive/data.pkl", pickle.dumps(_Bomb()))
    return content.getvalue()


_UNKNOWN = {
    "empty": b"",
    "one byte": b"\x08",
    "JSON": b'{"a": {"b": 1}}',
    "text with a brace": b'12345678{"a": 1}',
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("content", _UNKNOWN.values(), ids=_UNKNOWN)
def test_what_is_not_known_is_of_no_format(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert inspect(path).format is Format.UNSPECIFIED


@pytest.mark.parametrize(
    ("content", "format_"),
    [(pickle.dumps(_Bomb()), Format.PICKLE), (_zip_of_pickle(), Format.PYTORCH)],
    ids=["pickle", "PyTorch zip"],
)
def test_a_pickle_is_looked_at_and_never_loaded(content: bytes, format_: Format, tmp_path: Path) -> None:
    """X-12, promise 12."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    facts = inspect(path)
    assert (facts.format, facts.problems) == (format_, ["Loading it calls posix.putenv."])
    assert CANARY not in os.environ


@pytest.mark.parametrize(
    ("content", "format_"),
    [(linear_model(4, 3), Format.ONNX), (safetensors(a=(4, 3)), Format.SAFETENSORS)],
    ids=["onnx", "safetensors"],
)
def test_the_name_does_not_matter(content: bytes, format_: Format, tmp_path: Path) -> None:
    path = tmp_path / "weights.txt"
    path.write_bytes(content)
    assert inspect(path).format is format_
