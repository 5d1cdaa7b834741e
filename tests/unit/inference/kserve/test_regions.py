"""Shared memory regions, where no client looks."""

import gc
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.inference.errors import InvalidRequest, NotSupported
from services.inference.kserve.parameters import Place
from services.inference.kserve.shared_memory import RegionNotFound, Regions, TooManyRegions

ALL = Place("data", 0, 8)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A shared memory object of eight bytes."""
    made = Path(f"/dev/shm/headwater-unit-{secrets.token_hex(4)}")
    made.write_bytes(b"12345678")
    yield made
    made.unlink()


def descriptors(key: str) -> int:
    paths = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
    return sum(os.path.exists(path) and os.readlink(path) == f"/dev/shm/{key}" for path in paths)


def test_a_region_that_is_in_use_lives_until_it_is_not(memory: Path) -> None:
    regions = Regions(["/headwater-unit-"])
    before = descriptors(memory.name)
    regions.register("me", "data", f"/{memory.name}", 0, 8)
    in_use = regions.check("me", ALL)
    regions.unregister("me", "data")
    with pytest.raises(RegionNotFound):
        regions.read("me", ALL)
    assert os.pread(in_use.descriptor, 8, 0) == b"12345678"
    assert descriptors(memory.name) == before + 1
    del in_use
    gc.collect()
    assert descriptors(memory.name) == before


def test_what_was_read_does_not_change_any_more(memory: Path) -> None:
    regions = Regions(["headwater-unit-"])
    regions.register("me", "data", memory.name, 4, 4)
    content = regions.read("me", Place("data", 1, 3))
    memory.write_bytes(bytes(8))
    assert content == b"678"
    regions.write("me", Place("data", 0, 4), b"abc")
    assert memory.read_bytes() == b"\0\0\0\0abc\0"


def test_a_write_never_makes_an_object_grow(memory: Path) -> None:
    regions = Regions(["headwater-unit-"])
    regions.register("me", "data", memory.name, 0, 8)
    os.truncate(memory, 2)
    with pytest.raises(InvalidRequest, match="has 2 bytes"):
        regions.write("me", ALL, bytes(8))
    assert memory.stat().st_size == 2


@pytest.mark.parametrize("prefixes", [[], [""], ["/"]])
def test_without_a_prefix_it_is_off(prefixes: list[str]) -> None:
    regions = Regions(prefixes)
    assert not regions.enabled
    for ask in (
        lambda: regions.register("me", "data", "/x", 0, 8),
        lambda: regions.unregister("me"),
        lambda: regions.registered("me"),
        lambda: regions.read("me", ALL),
    ):
        with pytest.raises(NotSupported, match="send tensors in the messages"):
            ask()


def test_one_caller_cannot_take_all_regions_and_all_together_are_bounded(memory: Path) -> None:
    regions = Regions(["headwater-unit-"])

    def register(owner: str, number: int) -> None:
        regions.register(owner, f"data{number}", memory.name, 0, 8)

    for number in range(256):
        register("greedy", number)
    with pytest.raises(TooManyRegions, match=r"unregister.*limit=256, of=one caller"):
        register("greedy", 256)
    for number in range(256):
        for owner in ("a", "b", "c"):
            register(owner, number)
    with pytest.raises(TooManyRegions, match="limit=1024, of=all callers"):
        register("last", 0)
    regions.unregister("greedy", "data0")
    register("last", 0)
    with pytest.raises(TooManyRegions, match="all callers"):
        register("greedy", 0)
    assert [len(regions.registered(owner)) for owner in ("greedy", "a", "last")] == [255, 256, 1]
