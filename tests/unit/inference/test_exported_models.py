"""What our own training exports can be served, in batches."""

from pathlib import Path

import numpy as np
import torch

from headwater.training.export import SERVABLE, export
from services.inference.engines.onnx import OnnxEngine


def test_a_network_exported_by_the_training_client_is_served_in_batches(tmp_path: Path) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 10)
    )
    example = torch.rand(5, 1, 8, 8)
    files = export(network, tmp_path, example={"image": example}, outputs=["logits"], properties={"task": "digits"})

    engine = OnnxEngine.load(files[SERVABLE].read_bytes(), threads=1, memory_bytes=4 * 2**30)

    assert engine.signature.batchable
    assert [(spec.name, spec.datatype, spec.shape) for spec in engine.signature.inputs] == [
        ("image", "FP32", (-1, 1, 8, 8))
    ]
    assert [(spec.name, spec.shape) for spec in engine.signature.outputs] == [("logits", (-1, 10))]
    (logits,) = engine.predict([example.numpy()])
    assert np.allclose(logits, network(example).detach().numpy(), atol=1e-5)
