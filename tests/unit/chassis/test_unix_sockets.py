"""Where a Unix socket may be made, and what is in the way."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.sockets import UNIX_PATH_MAX_BYTES, SocketPathUnusable, prepare_unix
from headwater.sockets import listens


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that listens at ``a.sock``."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "a.sock"))
        server.listen()
        yield server


def refusal(path: Path) -> str:
    with pytest.raises(SocketPathUnusable) as caught:
        prepare_unix(path, "HEADWATER_FLIGHT_SOCKET")
    assert "HEADWATER_FLIGHT_SOCKET" in str(caught.value)
    return str(caught.value)


def test_a_missing_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    prepare_unix(tmp_path / "new" / "a.sock", "X")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_path_that_the_system_would_cut_is_refused_and_the_longest_is_not(tmp_path: Path) -> None:
    room = UNIX_PATH_MAX_BYTES - len(os.fsencode(tmp_path)) - 1
    prepare_unix(tmp_path / ("a" * room), "X")
    assert "at most 107" in refusal(tmp_path / ("a" * (room + 1)))
    assert "relative" in refusal(Path("a.sock"))


def test_a_socket_that_nobody_listens_on_any_more_makes_room(tmp_path: Path, listening: socket.socket) -> None:
    listening.close()
    assert (tmp_path / "a.sock").exists()
    prepare_unix(tmp_path / "a.sock", "X")
    assert not (tmp_path / "a.sock").exists()


@pytest.mark.usefixtures("listening")
def test_a_socket_that_somebody_listens_on_stays(tmp_path: Path) -> None:
    assert "listens" in refusal(tmp_path / "a.sock")
    assert listens(str(tmp_path / "a.sock"))


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "a.sock").write_text("mine")
    (tmp_path / "b.sock").symlink_to(tmp_path / "a.sock")
    assert "no socket" in refusal(tmp_path / "a.sock")
    assert "no socket" in refusal(tmp_path / "b.sock")
    assert (tmp_path / "a.sock").read_text() == "mine"
    assert "Cannot make" in refusal(tmp_path / "a.sock" / "c.sock")


def test_a_folder_that_others_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert "Others may write" in refusal(tmp_path / "a.sock")


def test_nobody_listens_where_nothing_is_or_the_path_is_too_long(tmp_path: Path) -> None:
    assert not listens(str(tmp_path / "a.sock"))
    assert not listens("/" + "a" * 200)
