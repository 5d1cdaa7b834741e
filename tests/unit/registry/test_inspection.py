"""The files of a version must fit together."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from chassis.blobs import MemoryBlobs
from chassis.testing import ManualClock
from services.registry.artifacts.model import Artifact
from services.registry.formats import Format
from services.registry.formats.bundles import main_path, together
from services.registry.versions.errors import InvalidFiles
from services.registry.versions.inspection import Facts, Inspector, model_files
from tests.data.models import tensorflow_files
from tests.data.models.onnx_files import external_tensor, linear, linear_model
from tests.data.models.safetensors_files import safetensors


async def _inspect(files: Mapping[str, bytes], **limits: float) -> tuple[Facts, Mapping[str, Artifact]]:
    blobs, clock = MemoryBlobs(), ManualClock()
    artifacts = {}
    for path, content in files.items():

        async def chunks(content: bytes = content) -> AsyncIterator[bytes]:
            yield content

        blob = await blobs.put(chunks())
        assert blob.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        artifacts[path] = Artifact("id", "p", "p", blob.digest, blob.size_bytes, path, clock.now(), "tester")
    return await Inspector(blobs, 1, **limits).inspect(artifacts), artifacts


def _with_external(location: str, **entries: str) -> bytes:
    model = linear(4, 3)
    model.graph.initializer.append(external_tensor(location, **entries))
    return model.SerializeToString()


async def test_parameters_are_counted_over_all_shards_and_once() -> None:
    files = {"a.safetensors": safetensors(a=(3,)), "b.safetensors": safetensors(b=(4,)), "m.onnx": linear_model(9, 9)}
    facts, _ = await _inspect(files)
    assert together(facts).parameter_count == 7


async def test_without_safetensors_the_onnx_file_tells_the_parameters() -> None:
    facts, _ = await _inspect({"model.onnx": linear_model(4, 3), "config.json": b"{}"})
    assert together(facts).parameter_count == 12


async def test_what_can_be_served_stands_for_the_version() -> None:
    files = {
        "config.json": b"{}",
        "a.safetensors": safetensors(a=(3,)),
        "parts/a.onnx": linear_model(1, 1),
        "b.onnx": linear_model(4, 3),
    }
    facts, _ = await _inspect(files)
    assert main_path(facts) == "b.onnx"


async def test_external_data_is_found_beside_the_model() -> None:
    files = {"m/model.onnx": _with_external("weights.bin", offset="4", length="16"), "m/weights.bin": bytes(20)}
    facts, artifacts = await _inspect(files)
    assert [file.format for file in model_files(facts, artifacts)] == [Format.ONNX, Format.UNSPECIFIED]


@pytest.mark.parametrize(
    "files",
    [
        {"model.onnx": _with_external("weights.bin")},
        {"m/model.onnx": _with_external("weights.bin"), "weights.bin": bytes(16)},
        {"model.onnx": _with_external("weights.bin", offset="8", length="16"), "weights.bin": bytes(20)},
    ],
    ids=["missing", "in another folder", "too short"],
)
async def test_external_data_that_is_not_there_is_refused(files: Mapping[str, bytes]) -> None:
    with pytest.raises(InvalidFiles, match=r"weights\.bin"):
        await _inspect(files)


async def test_a_name_that_promises_another_format_is_noted() -> None:
    """R-64: the user is told that extension and content differ."""
    facts, artifacts = await _inspect({"model.onnx": safetensors(a=(3,))})
    assert (
        model_files(facts, artifacts)[0].facts.properties["note"] == "named like onnx, but the content is safetensors"
    )


async def test_other_work_goes_on_while_a_file_is_read() -> None:
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(f'"{number}":{entry}' for number in range(20_000)) + "}"
    content = len(header).to_bytes(8, "little") + header.encode()
    inspecting = asyncio.create_task(_inspect({"a.safetensors": content}))
    turns = 0
    while not inspecting.done():
        await asyncio.sleep(0.001)
        turns += 1
    await inspecting
    assert turns > 5


async def test_a_caller_who_hangs_up_gives_no_turn_to_another_before_the_work_has_ended() -> None:
    """Promises 8 and 9: else whoever asks and hangs up, again and again, would have all threads read files."""
    reads, go_on = 0, asyncio.Event()

    class Slow(MemoryBlobs):
        async def read_range(self, digest: str, start: int, length: int) -> bytes:
            nonlocal reads
            reads += 1
            await go_on.wait()
            return await super().read_range(digest, start, length)

    async def chunks() -> AsyncIterator[bytes]:
        yield safetensors(a=(3,))

    blobs = Slow()
    blob = await blobs.put(chunks())
    artifact = Artifact("id", "p", "p", blob.digest, blob.size_bytes, "a", ManualClock().now(), "tester")
    inspector = Inspector(blobs, 1)
    for _ in range(5):
        impatient = asyncio.create_task(inspector.inspect({"a": artifact}))
        await asyncio.sleep(0.02)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
    patient = asyncio.create_task(inspector.inspect({"a": artifact}))
    await asyncio.sleep(0.02)
    assert reads == 1
    go_on.set()
    assert (await patient)["a"].format is Format.SAFETENSORS


async def test_the_files_of_a_saved_model_are_one_model() -> None:
    """R-14: a version of loose files says what a tar of them would."""
    folder = {f"variables/{name}": data for name, data in tensorflow_files.variables({"w": (4, 3)}, 2).items()}
    graph = tensorflow_files.meta_graph(operators=["VarHandleOp"])
    files = {"saved_model.pb": tensorflow_files.saved_model(graph), **folder}
    facts, _ = await _inspect(files)
    assert together(facts).parameter_count == 12
    with pytest.raises(InvalidFiles, match=r"variables\.data-00000-of-00002"):
        await _inspect({**files, "variables/variables.data-00000-of-00002": b""})


async def test_many_files_that_each_take_long_are_not_all_read() -> None:
    """Promise 8: a version may have a thousand files, and each may be the most costly one."""
    costly = b"\x80\x02]" + b"N0" * 50_000
    files = {f"{number:02}.pkl": costly + b"N0" * number + b"." for number in range(40)}
    with pytest.raises(InvalidFiles, match=r"take longer to be read than the 0\.1 s") as refused:
        await _inspect(files, max_cpu_s=0.1)
    assert "00.pkl" < refused.value.metadata["path"] < "39.pkl"


async def test_one_file_under_many_paths_counts_as_often() -> None:
    """Promise 8: it is read once, and told once for each path."""
    shard = safetensors(**{f"layer.{number}": (0,) for number in range(1000)})
    with pytest.raises(InvalidFiles, match="at most 100000 tensors"):
        await _inspect({f"{number}.safetensors": shard for number in range(101)})


async def test_what_many_files_say_is_bounded_whatever_it_is() -> None:
    """Promise 8: here indexes, each of which names thousands of tensors of other files."""
    names = {f"{number:0500}": "model-00001-of-00001.safetensors" for number in range(9000)}
    index = json.dumps({"weight_map": names}).encode()
    files = {f"{number}/model.safetensors.index.json": index + b" " * number for number in range(8)}
    with pytest.raises(InvalidFiles, match="at most 32 MiB"):
        await _inspect(files)
