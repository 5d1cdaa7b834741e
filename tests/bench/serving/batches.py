"""What batching costs and brings: against the bare session at the same batch sizes, and against no batching."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import torch
from tritonclient.grpc import service_pb2, service_pb2_grpc

from headwater.training.export import SERVABLE, export
from tests.bench.paired import Result, Timed, measure
from tests.bench.running import Running
from tests.bench.serving.h2load import Target, load
from tests.bench.serving.networks import WIDTH, encoder, resnet50
from tests.bench.serving.serve import serve

_THREADS = 2
_SECONDS = 6
_ROUNDS = 6
_IMAGES_IN_FLIGHT, _TEXTS_IN_FLIGHT = 16, 32
_TOKENS = (4, 8)
"""What people type into a search, and a short question: the longer a text, the less is left for batching to gain, since
one text alone is already as much as the processor's cores can multiply while the weights come from memory."""


def run(running: Running) -> Iterator[Result]:
    """ResNet-50 against its session, then the encoder with and without batches."""
    yield _against_the_session(running)
    for tokens in _TOKENS:
        yield from _against_no_batching(running, tokens)


def _against_the_session(running: Running) -> Result:
    """Single images from many clients; then the bare session computes batches of the sizes that came of it."""
    image = np.random.default_rng(0).random((1, 3, 224, 224), dtype=np.float32)
    onnx = _onnx(resnet50(), torch.from_numpy(image))
    name = "bench-resnet50"
    target = serve(running, name, onnx, image, max_batch_size=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    sizes: Mapping[int, int] = {1: 1}

    def served() -> Timed:
        nonlocal sizes
        before = _batches(running, name)
        loaded = load(target, seconds=_SECONDS, in_flight=_IMAGES_IN_FLIGHT)
        sizes = {rows: count - before.get(rows, 0) for rows, count in _batches(running, name).items()}
        return loaded.steady

    def bare() -> float:
        for rows, count in sizes.items():
            batch = np.repeat(image, rows, axis=0)
            for _ in range(count):
                session.run(None, {"x": batch})
        return float(sum(rows * count for rows, count in sizes.items()))

    return measure(
        f"ResNet-50, batched, {_THREADS} threads",
        served,
        bare,
        unit="images/s",
        peer="the bare session at the same batch sizes",
        servers=running.processes("inference", "postgres"),
        must_be="≥ 0.97",
        rounds=_ROUNDS,
    )


def _against_no_batching(running: Running, tokens: int) -> Iterator[Result]:
    text = np.random.default_rng(0).random((1, tokens, WIDTH), dtype=np.float32)
    onnx = _onnx(encoder(), torch.from_numpy(text))
    batched = serve(running, f"bench-encoder-{tokens}", onnx, text, max_batch_size=32)
    single = serve(running, f"bench-encoder-{tokens}-single", onnx, text, max_batch_size=1)
    latencies: dict[str, list[float]] = {"batched": [], "single": []}

    def calls(target: Target, which: str) -> Timed:
        loaded = load(target, seconds=_SECONDS, in_flight=_TEXTS_IN_FLIGHT)
        latencies[which].append(loaded.p50_s * 1000)
        return loaded.steady

    title = f"encoder of 6 layers, {tokens} tokens, {_TEXTS_IN_FLIGHT} in flight"
    yield measure(
        title,
        lambda: calls(batched, "batched"),
        lambda: calls(single, "single"),
        unit="calls/s",
        peer="the same, one request a batch",
        servers=running.processes("inference", "postgres"),
        must_be="≥ 2.5",
        rounds=_ROUNDS,
    )
    own, other = latencies["batched"][1:], latencies["single"][1:]
    ratios = sorted(mine / theirs for mine, theirs in zip(own, other, strict=True))
    yield Result(
        name=f"{title}, median time of a call",
        ours=statistics.median(own),
        theirs=statistics.median(other),
        unit="ms",
        ratio=statistics.median(ratios),
        low=ratios[0],
        high=ratios[-1],
        cpu_ms=0.0,
        peer="the same, one request a batch",
        must_be="≤ 2",
    )


def _onnx(network: torch.nn.Module, example: torch.Tensor) -> bytes:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        files = export(network, Path(folder), example={"x": example}, outputs=["y"], properties={})
        return files[SERVABLE].read_bytes()


def _batches(running: Running, name: str) -> Mapping[int, int]:
    """How many batches of each size the model has computed."""
    metadata = [("authorization", f"Bearer {running.connection.token}")]
    time.sleep(0.2)  # the last batch is counted a moment after its answers
    with grpc.insecure_channel(running.connection.endpoints.inference) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answer = stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name=name), metadata=metadata)
    return {each.batch_size: each.compute_infer.count for each in answer.model_stats[0].batch_stats}
