"""`headwater package`, where it needs no service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from headwater import cli, packaging
from tests.unit.packaging.documents import EXAMPLES, WHOLE, changed

WHOLE_FILE = EXAMPLES / "model_packaging.yaml"


def run(*arguments: object) -> int:
    """Run a command; its exit status."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["package", *map(str, arguments)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_examples_pass_the_check() -> None:
    assert run("check", *EXAMPLES.iterdir()) == 0


def test_the_check_tells_errors_of_all_files_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.yml").write_text("name: x\n")
    (tmp_path / "two.yml").write_text("framework:\n  nmae: x\nname: y\n")
    assert run("check", tmp_path / "one.yml", WHOLE_FILE, tmp_path / "two.yml") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "one.yml:1:1 error framework is required" in printed
    assert "two.yml:2:3 error framework.nmae is not known; did you mean name?" in printed
    assert "model_packaging.yaml:145:3 warning convert.onnx_convertable is written onnx_convertible" in printed


def test_an_expired_model_does_not_pass_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """M-79."""
    (tmp_path / "model.yml").write_text("specVersion: 0.0.1\npurpose: custom\nexpiry: 2020-01-01\n")
    assert run("check", tmp_path / "model.yml") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "model.yml:3:1 error expiry has passed" in printed


def test_a_file_is_written_canonically_in_place(tmp_path: Path) -> None:
    file = tmp_path / "package.yml"
    file.write_bytes(WHOLE_FILE.read_bytes())
    assert run("format", file, "--write") == 0
    written = file.read_text()
    assert written == packaging.write(packaging.read(WHOLE_FILE.read_bytes()).document)
    assert run("format", file, "--write") == 0
    assert file.read_text() == written


def test_a_file_is_written_whole_and_as_utf_8_whatever_the_terminal_writes(tmp_path: Path) -> None:
    """What cannot be written in the language of the terminal would leave the file empty."""
    file, link = tmp_path / "package.yml", tmp_path / "link.yml"
    file.write_text("name: café\nframework: {name: keras}\n", encoding="utf-8")
    file.chmod(0o640)
    link.symlink_to(file)
    latin = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "headwater", "package", "format", str(link), "--write"]
    done = subprocess.run(command, env={**os.environ, **latin}, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert file.read_text(encoding="utf-8") == "name: café\nframework:\n  name: keras\n"
    assert (link.is_symlink(), file.stat().st_mode & 0o777) == (True, 0o640)
    assert sorted(tmp_path.iterdir()) == sorted([file, link])


def test_a_file_without_an_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "/dev/zero") == 1
    assert "the text is longer than 1,048,576 characters" in " ".join(capsys.readouterr().out.split())


def test_the_serving_section_is_filled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "package.yml").write_text(changed("serve"))
    assert run("format", tmp_path / "package.yml", "--fill-serving") == 0
    served = yaml.safe_load(capsys.readouterr().out)["serve"]["model_source"]["servable_model"]
    assert served["path"] == WHOLE["train"]["model_training_results"]["trained_model"]["path"]


@pytest.mark.parametrize(
    ("command", "example", "reason"),
    [
        ("openapi", "experiment_example.yml", "WRONG_KIND"),
        ("openapi", "model_example.yml", "CONTRACT_MISSING"),
        ("convert", "metadata.yaml", "WRONG_KIND"),
        ("convert", "model.yaml", "CANNOT_CONVERT"),
        ("train", "experiment_example.yml", "CANNOT_TRAIN_HERE"),
    ],
)
def test_a_command_for_another_kind_says_so(
    command: str, example: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, EXAMPLES / example) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--model", "--version"])
def test_a_record_of_an_experiment_is_no_version_of_a_model(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("register", EXAMPLES / "experiment_example.yml", option, "v1.0.0") == 1
    assert "becomes a run: it takes no --model and no --version" in " ".join(capsys.readouterr().err.split())


@pytest.mark.filterwarnings("ignore")  # torch remarks on its own deprecated parts
def test_a_model_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(4, 3)), tmp_path / "model.pt")
    convert = {
        "onnx_convertible": True,
        "model_source": {"initial_model_local": {"path": "model.pt"}},
        "tf_inputs": {"x": [-1, 4]},
    }
    (tmp_path / "package.yml").write_text(yaml.safe_dump({"convert": convert}))
    assert run("convert", tmp_path / "package.yml") == 0
    assert (tmp_path / "model.onnx").is_file()
    assert "largest difference" in capsys.readouterr().out
