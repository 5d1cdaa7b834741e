"""N-04: what of pipelines and samples is found wrong before anything is sent."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headwater import model_preprocessing, models, references
from headwater.client import Connection, Endpoints
from headwater.errors import InvalidArgument
from tests.integration.inference.pipelines import SHAPE, document, image
from tests.unit.inference import onnx_models

NOBODY = Connection(Endpoints(registry="127.0.0.1:1"), "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, a pipeline, an image, arrays."""
    (tmp_path / "model.onnx").write_bytes(onnx_models.identity(shape=SHAPE))
    (tmp_path / "prep.json").write_text(document())
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.png").write_bytes(image())
    np.savez(tmp_path / "inputs.npz", x=np.ones((2, 1, 4, 4), np.float32))
    return tmp_path


def test_samples_without_an_onnx_file_need_their_outputs(folder: Path) -> None:
    files = {"weights.bin": folder / "inputs.npz"}
    with pytest.raises(InvalidArgument, match=r"the version's .onnx file, of which there must be one; there are 0"):
        model_preprocessing.parity_of(files, [folder / "inputs.npz"], None)
    arrays: dict[str, Any] = {"x": np.ones((1, 4), np.float32), "output:y": np.zeros((1, 3), np.float32)}
    np.savez(folder / "answered.npz", **arrays)
    record = model_preprocessing.parity_of(files, [folder / "answered.npz"], None)
    assert record.samples[0].outputs[0].name == "y"


def test_a_record_of_another_pipeline_is_refused(folder: Path) -> None:
    files = {"model.onnx": folder / "model.onnx"}
    prepared = model_preprocessing.preprocessing(NOBODY, folder / "prep.json")
    record = model_preprocessing.parity_of(files, [folder / "images"], prepared)
    (folder / "other.json").write_text(document("bilinear"))
    other = model_preprocessing.preprocessing(NOBODY, folder / "other.json")
    with pytest.raises(InvalidArgument, match="The parity record was made with the pipeline"):
        models.register(NOBODY, references.model("digits"), files, preprocessing=other, parity=record)


def test_a_file_called_parity_json_is_a_record_or_is_refused(folder: Path) -> None:
    (folder / "parity.json").write_text("{}")
    files = {"model.onnx": folder / "model.onnx", "parity.json": folder / "parity.json"}
    with pytest.raises(InvalidArgument, match="record: must have the keys"):
        models.register(NOBODY, references.model("digits"), files)
