"""Tars are read in place, by range, and only those that every reader understands alike."""

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile
from services.registry.formats.archives.tars import MAX_UNPACKED_BYTES, Tars
from services.registry.formats.content import Content, MemoryContent, RangedContent
from services.registry.formats.detect import read
from tests.data.models.onnx_files import external_tensor, linear, linear_model
from tests.data.models.safetensors_files import safetensors
from tests.data.models.tars import END, MARKED, REFUSED, extended, header, member, tar

_FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def _written(files: Mapping[str, bytes], format_: int = tarfile.PAX_FORMAT, mode: str = "w") -> bytes:
    """As Python's own tarfile writes it, with the folders."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, format=format_) as archive:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


_NAMES = st.lists(
    st.text("abcdéß漢 .-_", min_size=1, max_size=40).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=5,
).map("/".join)


@given(st.dictionaries(_NAMES, st.integers(0, 1100), min_size=1, max_size=4), st.sampled_from(sorted(_FORMATS)))
def test_what_tarfile_writes_is_read(sizes: Mapping[str, int], kind: str) -> None:
    """R-12, against Python's own writer as the oracle."""
    assume(not any(path.startswith(f"{other}/") for path in sizes for other in sizes))
    files = {path: b"." * size for path, size in sizes.items()}
    try:
        content = _written(files, _FORMATS[kind])
    except ValueError:  # a name that is too long for ustar
        return
    assert set(_read(content).members) == set(files)


@pytest.mark.parametrize("format_", _FORMATS.values(), ids=_FORMATS)
def test_a_tensor_within_an_archive_lies_where_it_is_said(format_: int) -> None:
    """R-16: places are those in the archive, so that a tensor can be fetched out of it by range."""
    weights = safetensors(w=(3, 4)).replace(bytes(48), bytes(range(48)))
    facts = _read(content := _written({"deep/" * 30 + "m.safetensors": weights, "readme.md": b"hello"}, format_))
    (tensor,) = facts.tensors
    assert facts.format is Format.TAR
    assert facts.parameter_count == 12
    assert content[tensor.begin : tensor.end] == bytes(range(48))


def test_files_are_told_by_path_and_the_model_among_them_is_told_for_all() -> None:
    facts = _read(_written({"m/model.onnx": linear_model(4, 3), "m/labels.txt": b"cat"}))
    assert [(each.name, list(each.shape)) for each in facts.inputs] == [("x", [-1, 4])]
    assert {path: told.format for path, told in facts.members.items()} == {
        "m/model.onnx": Format.ONNX,
        "m/labels.txt": Format.UNSPECIFIED,
    }


def test_a_file_that_takes_data_from_another_must_have_it_in_the_archive() -> None:
    model = linear(4, 3)
    model.graph.initializer.append(external_tensor("w.bin", offset="0", length="16"))
    files = {"m/model.onnx": model.SerializeToString(), "m/w.bin": bytes(16)}
    assert _read(_written(files)).format is Format.TAR
    with pytest.raises(InvalidModelFile, match=r"w\.bin, which is not there or is too short"):
        _read(_written({**files, "m/w.bin": bytes(15)}))


def test_an_invalid_file_in_an_archive_is_named() -> None:
    with pytest.raises(InvalidModelFile, match=r"m/w\.safetensors: Not a valid safetensors file"):
        _read(_written({"m/w.safetensors": safetensors(a=(4,))[:-1]}))


def test_a_gzipped_archive_is_read_but_no_places_are_told() -> None:
    facts = _read(_written({"w.safetensors": safetensors(w=(3,))}, mode="w:gz"))
    assert [(each.name, each.begin) for each in facts.tensors] == [("w", -1)]
    assert not facts.problems


def test_of_a_large_gzipped_archive_it_is_said_what_was_not_read() -> None:
    large = member("a", safetensors(w=(3,))) + header("b", MAX_UNPACKED_BYTES) + bytes(MAX_UNPACKED_BYTES)
    facts = _read(gzip.compress(large + member("c", b"x") + END, 1))
    assert list(facts.members) == ["a"]
    assert any("not looked at" in problem for problem in facts.problems)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw + b"more"], ids=["cut off", "with a tail"])
def test_a_damaged_gzip_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InvalidModelFile, match="gzip"):
        _read(damage(gzip.compress(tar(a=b"x"))))


def test_gzip_of_something_else_is_of_no_format() -> None:
    assert _read(gzip.compress(bytes(2000))).format is Format.UNSPECIFIED


def test_a_name_and_a_size_may_be_too_long_for_a_header() -> None:
    long = "d/" * 20 + "n" * 200
    assert list(_read(member("././@LongLink", long.encode() + b"\0", b"L") + member("cut", b"x") + END).members) == [
        long
    ]
    assert list(_read(extended(path=long, size="1", mtime="1.5") + member("cut", b"x") + END).members) == [long]
    cut = member("././@LongLink", long.encode() + b"\0", b"L") + member(b"x" * 98 + "\u6f22".encode()[:2], b"x") + END
    assert list(_read(cut).members) == [long]
    sized = header("a", size_field=b"\x80" + (3).to_bytes(11, "big")) + b"xyz".ljust(512, b"\0")
    assert list(_read(sized + END).members) == ["a"]


@pytest.mark.parametrize("attack", REFUSED.values(), ids=REFUSED)
def test_attacks_are_refused(attack: Callable[[], bytes]) -> None:
    """Promise 12 and 13: what could be understood in several ways, or would write elsewhere, is not taken."""
    with pytest.raises(InvalidModelFile):
        _read(attack())


@pytest.mark.parametrize("attack", MARKED.values(), ids=MARKED)
def test_what_is_not_looked_into_is_marked(attack: Callable[[], bytes]) -> None:
    content = attack()
    tracemalloc.start()
    try:
        facts = _read(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert facts.format is Format.TAR
    assert facts.problems
    assert peak < 4 * MAX_UNPACKED_BYTES


_GOOD = _written({"m/config.txt": b"hello", "m/w.safetensors": safetensors(w=(3,))}, tarfile.GNU_FORMAT)


@given(st.lists(st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_read_or_refused_and_nothing_else(changes: list[tuple[int, int]]) -> None:
    content = bytearray(_GOOD)
    for position, byte in changes:
        content[position] = byte
    try:
        facts = _read(bytes(content))
    except InvalidModelFile:
        return
    assert facts.format in (Format.TAR, Format.UNSPECIFIED)


def test_what_is_fetched_does_not_grow_with_the_files() -> None:
    fetched = {}
    for size in (2**22, 2**26):
        parts = {0: header("a", size), 512 + size: member("w.safetensors", safetensors(w=(3,))) + END}
        total = 512 + size + len(parts[512 + size])
        asked: list[int] = []

        def fetch(begin: int, length: int, parts: Mapping[int, bytes] = parts, asked: list[int] = asked) -> bytes:
            asked.append(length)
            whole = bytearray(length)
            for at, part in parts.items():
                for offset, byte in enumerate(part):
                    if 0 <= at + offset - begin < length:
                        whole[at + offset - begin] = byte
            return bytes(whole)

        assert read(RangedContent(total, fetch)).parameter_count == 3
        fetched[size] = sum(asked)
    assert fetched[2**26] <= 1.2 * fetched[2**22]


def test_many_files_that_each_take_long_are_not_all_read() -> None:
    """Promise 8: 5 KB of gzip that would keep a processor busy for as long as its files together."""
    costly = b"\x80\x02]" + b"N0" * 100_000 + b"."
    content = gzip.compress(tar(**{f"{number}.pkl": costly for number in range(100)}))
    looked_at: list[int] = []

    def inside(part: Content) -> FileFacts:
        looked_at.append(part.size)
        return read(part)

    with pytest.raises(InvalidModelFile, match="take longer to be read"):
        Tars(inside, max_cpu_s=0.1).read(MemoryContent(content))
    assert 0 < len(looked_at) < 100
