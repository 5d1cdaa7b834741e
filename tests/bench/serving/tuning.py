"""What tuning brings: the engine that a job chose, against eager PyTorch as a program that knows no better runs it."""

import dataclasses
import io
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from headwater import artifacts, conversions, model_versions, models
from headwater.inference.v1.conversions_pb2 import Candidate, ConversionJob
from headwater.names import DEFAULT_PROJECT, ArtifactName, ConversionJobName, ModelName, ModelVersionName
from headwater.tensors import Array
from services.inference.conversions.runner import PATHS
from services.inference.engines.formats import load_here
from services.inference.engines.options import EngineOptions
from services.inference.engines.order import Order, specs_from_plain
from tests.bench.paired import Result, measure
from tests.bench.running import Running
from tests.bench.serving.networks import SEQUENCE, WIDTH, encoder, mobilenet_v3, resnet50

_SECONDS = 20.0
_CALLS = 10
_NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...]]] = {
    "ResNet-50": (resnet50, (3, 224, 224)),
    "MobileNetV3": (mobilenet_v3, (3, 224, 224)),
    "encoder of 6 layers": (encoder, (SEQUENCE, WIDTH)),
}


def run(running: Running) -> Iterator[Result]:
    """Each network, then the geometric mean of how much faster they became."""
    results = []
    for name, (make, shape) in _NETWORKS.items():
        results.append(tuned(running, name, make, shape, _SECONDS))
        yield results[-1]
    yield dataclasses.replace(
        results[0],
        name="autotuned engines, geometric mean",
        ours=_mean([each.ours for each in results]),
        theirs=_mean([each.theirs for each in results]),
        ratio=_mean([each.ratio for each in results]),
        low=_mean([each.low for each in results]),
        high=_mean([each.high for each in results]),
        must_be="≥ 1.6",
    )


def tuned(
    running: Running, name: str, make: Callable[[], torch.nn.Module], shape: tuple[int, ...], seconds: float
) -> Result:
    """One network, exported, registered and tuned for single rows; then what was chosen, beside the module itself."""
    torch.manual_seed(0)
    network = make().eval()
    source = _register(running, name, network, shape)
    begun = conversions.tune(running.connection, source, rows=1, max_batch_size=8, seconds=seconds)
    job = conversions.wait(running.connection, ConversionJobName.parse(begun.name))
    conversions.check(job)
    chosen = next(each for each in job.evidence.candidates if each.name == job.evidence.chosen)
    rows = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    inputs, threads = torch.from_numpy(rows), torch.get_num_threads()
    compute = _engine(running, job, chosen)

    def ours() -> float:
        torch.set_num_threads(chosen.threads)
        for _ in range(_CALLS):
            compute(rows)
        return _CALLS

    def eager() -> float:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            for _ in range(_CALLS):
                network(inputs)
        return _CALLS

    try:
        return measure(
            f"{name}, tuned: {chosen.name}",
            ours,
            eager,
            unit="rows/s",
            peer=f"eager PyTorch, {threads} threads",
            servers=running.processes("inference"),
            must_be="≥ 1",
        )
    finally:
        torch.set_num_threads(threads)


def _register(running: Running, name: str, network: torch.nn.Module, shape: tuple[int, ...]) -> ModelVersionName:
    example, buffer = torch.zeros(2, *shape), io.BytesIO()
    program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.export.save(program, buffer)
    model = ModelName(DEFAULT_PROJECT, f"bench-tuned-{name.partition(' ')[0].lower()}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.pt2")
        file.write_bytes(buffer.getvalue())
        return ModelVersionName.parse(models.register(running.connection, model, {file.name: file}).name)


def _engine(running: Running, job: ConversionJob, chosen: Candidate) -> Callable[[Array], object]:
    """The chosen file, computed as a deployment would."""
    options = EngineOptions(threads=chosen.threads)
    kind, path = chosen.format, "model.pt2"
    if job.result:
        kind = "onnx" if chosen.format.startswith("onnx") else chosen.format
        path = PATHS[kind]
    if kind == "torchscript":
        sides = (
            specs_from_plain([{"name": each.name, "datatype": each.datatype, "shape": each.shape} for each in side])
            for side in (job.evidence.inputs, job.evidence.outputs)
        )
        options = EngineOptions(threads=chosen.threads, inputs=next(sides), outputs=next(sides))
    version = model_versions.get(running.connection, ModelVersionName.parse(job.result or job.source))
    digest = next(each.digest for each in version.files if each.path == path)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model")
        name = ArtifactName(DEFAULT_PROJECT, digest.removeprefix("sha256:"))
        artifacts.download(running.connection, name, file)
        engine = load_here(file.read_bytes(), Order(kind, options))
    return lambda rows: engine.predict([rows])


def _mean(numbers: list[float]) -> float:
    return math.exp(sum(map(math.log, numbers)) / len(numbers))
