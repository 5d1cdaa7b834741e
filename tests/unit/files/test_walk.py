"""Every file below a folder, or an error that names it."""

import os
import tempfile
from pathlib import Path

import pytest

from headwater.files.errors import SourceEmpty, SourceNotFound, SourceOutside, SourceUnreadable, SourceUnsupported
from headwater.files.walk import find_files
from tests.unit.files.conftest import IMAGES


def test_files_are_listed_by_name_and_dot_files_left_out(images: Path) -> None:
    (images / ".DS_Store").write_bytes(b"x")
    (images / "cat" / ".hidden").mkdir()
    assert [file.name for file in find_files(images)] == list(IMAGES)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="nowhere"):
        find_files(tmp_path / "nowhere")


@pytest.mark.parametrize("empty", ["", "cat", "cat/inner"])
def test_an_empty_folder_is_named(tmp_path: Path, empty: str) -> None:
    root = tmp_path / "f"
    (root / empty).mkdir(parents=True)
    with pytest.raises(SourceEmpty, match=f"no files in {root / empty}\\."):
        find_files(root)


def test_a_link_out_of_the_folder_is_refused(images: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (images / "cat" / "3.png").symlink_to(secret)
    with pytest.raises(SourceOutside, match=r"cat/3\.png is a symbolic link that leads out"):
        find_files(images)


def test_a_link_to_a_folder_is_refused(images: Path) -> None:
    (images / "again").symlink_to(images / "cat")
    with pytest.raises(SourceOutside, match="again"):
        find_files(images)


def test_a_link_to_a_file_within_is_a_file(images: Path) -> None:
    (images / "dog" / "2.png").symlink_to(images / "cat" / "1.png")
    assert find_files(images)[-1].name == "dog/2.png"


@pytest.mark.parametrize("target", ["missing.png", "3.png"], ids=["dangling", "circular"])
def test_a_link_to_nothing_is_named(images: Path, target: str) -> None:
    (images / "cat" / "3.png").symlink_to(images / "cat" / target)
    with pytest.raises(SourceUnreadable, match=r"cat/3\.png cannot be read"):
        find_files(images)


def test_a_pipe_is_refused_and_not_waited_for(images: Path) -> None:
    os.mkfifo(images / "cat" / "3.png")
    with pytest.raises(SourceUnsupported, match=r"cat/3\.png is neither"):
        find_files(images)


def test_a_name_that_is_not_utf8_is_refused(images: Path) -> None:
    Path(os.fsdecode(os.fsencode(images / "cat") + b"/\xff.png")).write_bytes(b"x")
    with pytest.raises(SourceUnsupported, match=r"cat/\\xff\.png' is not UTF-8"):
        find_files(images)


def test_a_folder_without_permission_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        closed = Path(folder) / "cat"
        closed.mkdir(mode=0)
        Path(folder).chmod(0o755)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # permissions do not hold root back
        try:
            with pytest.raises(SourceUnreadable, match="cat cannot be read: Permission denied"):
                find_files(Path(folder))
        finally:
            os.seteuid(user)
