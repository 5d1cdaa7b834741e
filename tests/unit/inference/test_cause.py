"""What libraries say of files that they cannot load."""

import pytest

from services.inference.engines.cause import in_words


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/core/graph/model.cc:245 onnxruntime::Model::Model("
            "onnx::ModelProto&&, const onnxruntime::ModelOptions&) Missing opset in the model.\n",
            "Missing opset in the model",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : /src/load_utils.h:46 void onnxruntime::Check(const std::map<int>&, bool) "
            "ONNX Runtime (of this version) knows opset 26.",
            "ONNX Runtime (of this version) knows opset 26",
        ),
        (
            "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Node input '/layer/Add_output' is not there.",
            "Node input '/layer/Add_output' is not there",
        ),
        (
            "[12:34:56] /workspace/src/common/json.cc:12: Invalid cast, from Array.\nStack trace:\n  /lib/x.so",
            "Invalid cast, from Array",
        ),
        ("x" * 400, "x" * 300 + "…"),
        ("", "ValueError"),
    ],
)
def test_a_cause_is_told_without_where_in_the_library_it_is(said: str, told: str) -> None:
    """Promise 16."""
    assert in_words(ValueError(said)) == told
