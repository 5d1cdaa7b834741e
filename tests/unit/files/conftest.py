"""A small folder of images: two classes, three images."""

from pathlib import Path

import pytest

IMAGES = {"cat/1.png": b"\x89PNG one", "cat/2.png": b"\x89PNG two", "dog/1.PNG": b"\x89PNG three"}


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write(tmp_path / "images", IMAGES)
