"""The scheduler is small: what workers need is imported by workers."""

import subprocess
import sys


def test_the_scheduler_process_imports_neither_torch_nor_ray() -> None:
    script = "import sys, services.training_scheduler.__main__; print({'torch', 'ray', 'onnx'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_generated_messages_and_the_session_import_without_torch() -> None:
    script = "import sys, headwater.training; print({'torch', 'pyarrow', 'onnx'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
