"""One engine wherever a pipeline is run: files in serving and training, rows in jobs."""

import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headwater.transforms import Pipeline, PipelineMisfit, RowInvalid
from headwater.transforms.feeding import Feed, Input
from headwater.transforms.rows import Kind

FILTERS = st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos3"])
MODES = st.sampled_from(["exact", "stretch", "fill"])
SIDES = st.integers(1, 12)
NUMBERS = st.floats(-4, 4, width=32)


def file(height: int, width: int, seed: int, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=form)
    return buffer.getvalue()


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Any pipeline of these steps."""
    steps = [{"id": "decode", "step_type": "image_decode", "config": {"mode": draw(st.sampled_from(["rgb", "gray"]))}}]
    channels = 3 if steps[0]["config"] == {"mode": "rgb"} else 1
    config = {"width": draw(SIDES), "height": draw(SIDES), "mode": draw(MODES), "filter": draw(FILTERS)}
    steps.append({"id": "resize", "step_type": "image_resize", "config": config})
    if draw(st.booleans()):
        config = {
            "mean": draw(st.lists(NUMBERS, min_size=channels, max_size=channels)),
            "std": draw(st.lists(st.floats(0.125, 4, width=32), min_size=channels, max_size=channels)),
            "normalize_range": draw(st.booleans()),
        }
        steps.append({"id": "scale", "step_type": "image_normalization", "config": config})
    return json.dumps({"id": "prep", "version": "1.0.0", "steps": steps, "metadata": {"é": [1, None]}})


@settings(max_examples=40, deadline=None)
@given(text=documents(), sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4))
def test_what_serving_computes_is_what_a_job_stores(text: str, sizes: list[tuple[int, int]]) -> None:
    """N-04: row by row from files, or by chunks from a dataset's rows, bit for bit."""
    pipeline = Pipeline.parse(text)
    files = [file(*size, seed) for seed, size in enumerate(sizes)]
    served = pipeline.prepare_all(files)
    stored = pipeline.apply(pa.RecordBatch.from_pydict({"image": pa.array(files, pa.binary())}))
    if pipeline.leaves is Kind.TENSOR:
        assert stored.column("tensor").flatten().to_numpy().tobytes() == served.tobytes()
    else:
        pixels = [np.asarray(Image.open(io.BytesIO(each.as_py()))) for each in stored.column("image")]
        assert np.stack(pixels).tobytes() == served.tobytes()


@settings(max_examples=40, deadline=None)
@given(text=documents())
def test_the_canonical_document_reads_back_exactly(text: str) -> None:
    pipeline = Pipeline.parse(text)
    again = Pipeline.parse(pipeline.document)
    assert again == pipeline
    assert (again.document, again.digest) == (pipeline.document, pipeline.digest)


def test_the_digest_is_of_what_it_does_and_not_of_what_it_is_called() -> None:
    steps = [{"id": "a", "step_type": "image_decode"}]
    one = Pipeline.parse(json.dumps({"id": "one", "version": "1.0.0", "steps": steps}))
    two = Pipeline.parse(json.dumps({"id": "two", "version": "2.0.0", "steps": [{**steps[0], "id": "b"}]}))
    gray = Pipeline.parse(
        json.dumps({"id": "one", "version": "1.0.0", "steps": [{**steps[0], "config": {"mode": "gray"}}]})
    )
    assert one.digest == two.digest != gray.digest
    assert (one.name, two.name) == ("one@1.0.0", "two@2.0.0")


def test_an_error_names_the_row_and_the_step() -> None:
    steps = [{"id": "small", "step_type": "image_resize", "config": {"width": 2, "height": 2}}]
    pipeline = Pipeline.parse(json.dumps({"id": "prep", "version": "1.0.0", "steps": steps}))
    with pytest.raises(RowInvalid, match="row 1 is not a readable") as refused:
        pipeline.prepare_all([file(3, 3, 0), b"no image"])
    assert refused.value.metadata["step"] == "implicit-decode"
    with pytest.raises(RowInvalid, match=r"row 1 has shape \[1, 2, 3\], the first row \[2, 2, 3\]"):
        pipeline.prepare_all([file(3, 3, 0), file(3, 6, 1)])


NORMALIZED = json.dumps(
    {
        "id": "prep",
        "version": "1.0.0",
        "steps": [{"id": "n", "step_type": "image_normalization", "config": {"mean": [0.0] * 3, "std": [1.0] * 3}}],
    }
)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([], "the model has 0"),
        ([Input("a", "FP32", (-1, 3, 4, 4))] * 2, "the model has 2"),
        ([Input("x", "FP16", (-1, 3, 4, 4))], r"prep@1.0.0 leaves FP32 \[channels, height, width\] of each row"),
        ([Input("x", "FP32", (-1, 48))], r"the model's input x takes FP32 \[-1, 48\]"),
    ],
)
def test_a_model_that_does_not_take_what_the_pipeline_leaves_is_told(inputs: list[Input], told: str) -> None:
    with pytest.raises(PipelineMisfit, match=told):
        Feed.of(Pipeline.parse(NORMALIZED), inputs)


def test_a_model_without_a_dimension_for_rows_takes_one() -> None:
    pipeline = Pipeline.parse(NORMALIZED)
    feed = Feed.of(pipeline, [Input("x", "FP32", (3, 4, 4))])
    rows = pipeline.prepare_all([file(4, 4, 0)])
    assert feed.tensor(rows).shape == (3, 4, 4)
    with pytest.raises(RowInvalid, match="one row at a time; 2 came"):
        feed.tensor(np.concatenate([rows, rows]))


def test_the_package_names_what_it_has_without_loading_it() -> None:
    program = "import headwater.transforms, headwater.parity, sys; print('PIL' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False False\n"
