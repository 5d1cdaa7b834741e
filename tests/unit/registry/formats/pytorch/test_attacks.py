"""PyTorch's files that attack whoever loads them are told and not run; broken ones are refused (promise 12)."""

import contextlib
import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from tests.data.models.pickles import ATTACKS
from tests.data.models.pickles import MALFORMED as MALFORMED_PICKLES
from tests.data.models.pytorch_files import (
    EXPORT_ATTACKS,
    MALFORMED,
    archive,
    exported,
    legacy,
    script,
    sparse,
    tensor_pickle,
)
from tests.data.models.zips import by_name

# What cannot be read to its end is refused in PyTorch's own files, where a plain pickle is only marked.
_UNREADABLE = {name for name in ATTACKS if "before" in name or "second pickle" in name}
_AROUND: dict[str, tuple[Callable[[bytes], bytes], Format]] = {
    "zip": (archive, Format.PYTORCH),
    "TorchScript": (script, Format.TORCHSCRIPT),
    "legacy": (legacy, Format.PYTORCH_LEGACY),
}


@pytest.mark.parametrize(("around", "format_"), _AROUND.values(), ids=_AROUND)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_within_pytorchs_files_is_told_and_not_done(
    name: str, around: Callable[[bytes], bytes], format_: Format, tmp_path: Path
) -> None:
    """R-13, X-12: the file is stored and marked, or refused; the canary is untouched."""
    canary = tmp_path / "canary"
    content = MemoryContent(around(ATTACKS[name](canary)))
    if name in _UNREADABLE:
        with pytest.raises(InvalidModelFile):
            read(content)
    else:
        facts = read(content)
        assert facts.format is format_
        assert facts.problems
    assert not canary.exists()


def test_a_pickle_that_is_not_the_main_one_is_looked_at_too(tmp_path: Path) -> None:
    evil = ATTACKS["protocol 2"](tmp_path / "canary")
    facts = read(MemoryContent(archive(b"\x80\x02}.", {"deep/extra.pkl": evil})))
    assert facts.problems == ["Loading it calls posix.system."]


@pytest.mark.parametrize("name", EXPORT_ATTACKS)
def test_python_within_an_exported_program_is_told_and_not_run(name: str, tmp_path: Path) -> None:
    """torch.export.load evaluates guards and sizes as Python; nothing else says so of a file."""
    canary = tmp_path / "canary"
    facts = read(MemoryContent(EXPORT_ATTACKS[name](canary)))
    assert facts.format is Format.TORCH_EXPORT
    assert [problem for problem in facts.problems if problem.endswith("as Python.")]
    assert not canary.exists()


def test_the_attacks_on_exported_programs_are_real(tmp_path: Path) -> None:
    canaries = {name: tmp_path / f"{number}.canary" for number, name in enumerate(EXPORT_ATTACKS)}
    for number, (name, attack) in enumerate(EXPORT_ATTACKS.items()):
        (tmp_path / f"{number}.pt2").write_bytes(attack(canaries[name]))
    victim = """
import contextlib, pathlib, sys, torch
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.pt2")):
    with contextlib.suppress(Exception):
        torch.export.load(path).module()(torch.zeros(3, 4))
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", victim, tmp_path], check=True, capture_output=True, timeout=100
    )
    assert [name for name, canary in canaries.items() if not canary.exists()] == []


def test_an_operator_of_an_exported_program_that_is_none_is_told() -> None:
    def change(root: dict[str, object]) -> None:
        graph = root["graph_module"]["graph"]  # type: ignore[index]
        graph["nodes"][-1]["target"] = "torch.os.system"
        graph["nodes"][0]["target"] = "torch.ops.aten.from_file.default"

    problems = read(MemoryContent(exported(change))).problems
    assert problems == [
        f"Running it calls {target}, which is no operator, or one that reaches files."
        for target in ("torch.ops.aten.from_file.default", "torch.os.system")
    ]


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_an_archive_whose_tensors_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidModelFile, match=r"^Not a valid PyTorch file: .+\.$"):
        read(MemoryContent(archive(data, {"data/0": bytes(8)})))


def test_the_archive_that_those_are_made_of_is_valid() -> None:
    (tensor,) = read(MemoryContent(archive(tensor_pickle(), {"data/0": bytes(8)}))).tensors
    assert (tensor.name, tensor.datatype, tensor.shape) == ("w", "FP32", (2,))


@pytest.mark.parametrize("data", MALFORMED_PICKLES.values(), ids=MALFORMED_PICKLES)
@pytest.mark.parametrize("around", [archive, legacy], ids=["zip", "legacy"])
def test_an_archive_whose_pickle_is_none_is_refused(around: Callable[[bytes], bytes], data: bytes) -> None:
    with pytest.raises(InvalidModelFile):
        read(MemoryContent(around(data)))


def _both_forms() -> list[bytes]:
    state = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2), "n": {"steps": [torch.tensor(3)]}}
    contents = []
    for new in (True, False):
        content = io.BytesIO()
        torch.save(state, content, _use_new_zipfile_serialization=new)
        contents.append(content.getvalue())
    return contents


_FORMS = _both_forms()


@given(st.sampled_from(_FORMS), st.integers(0, 5000), st.integers(0, 255), st.integers(0, 5000))
def test_changed_and_cut_files_are_read_or_refused(form: bytes, position: int, byte: int, cut: int) -> None:
    content = bytearray(form)
    content[position % len(content)] = byte
    for changed in (bytes(content), bytes(content[: cut % len(content)])):
        with contextlib.suppress(InvalidModelFile):
            read(MemoryContent(changed))


def test_what_is_fetched_does_not_grow_with_the_file() -> None:
    """The weights stay where they are: 20 tensors in 10 GB, or in 60 GB, cost the same few megabytes."""
    fetched = {}
    for tensor_bytes in (512 * 10**6, 3 * 10**9):
        size, fetch = sparse(20, tensor_bytes)
        lengths: list[int] = []

        def counted(begin: int, length: int, fetch: Callable[[int, int], bytes] = fetch) -> bytes:
            lengths.append(length)  # noqa: B023
            return fetch(begin, length)

        facts = read(RangedContent(size, counted))
        assert facts.parameter_count == 20 * tensor_bytes // 4
        fetched[tensor_bytes] = sum(lengths)
    assert max(fetched.values()) < 10 * 2**20
    assert fetched[3 * 10**9] == pytest.approx(fetched[512 * 10**6], rel=0.1)


@pytest.mark.parametrize("others", [{}, {"archive_format": b"pt2", "archive_version": b"0"}], ids=["saved", "exported"])
def test_members_that_unpack_to_much_are_not_all_unpacked(others: Mapping[str, bytes]) -> None:
    """Promise 8: 300 KB that would be unpacked to a gigabyte, one member after the other."""
    blob = b"\x80\x02B" + struct.pack("<I", 30 * 2**20) + bytes(30 * 2**20) + b"."
    many = {f"archive/{number}.pkl": blob for number in range(10)}
    own = {f"archive/{name}": each for name, each in {"data.pkl": b"\x80\x02}.", "version": b"3\n", **others}.items()}
    with pytest.raises(InvalidModelFile, match="unpacked to more than is looked at"):
        read(MemoryContent(by_name({**own, **many}, zipfile.ZIP_DEFLATED)))
