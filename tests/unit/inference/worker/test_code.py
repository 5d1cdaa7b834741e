"""Which code an administrator has registered, and whether it is still that (promise 12)."""

import json
import sys
from pathlib import Path

import pytest

from chassis.errors import StartupError
from chassis.process import read_settings
from headwater.errors import InvalidArgument
from services.inference.engines.code import Code, CodeChanged, digest_of, main, parse_code
from services.inference.settings import Settings

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of two modules that tells when it is imported."""
    root = tmp_path / "headwater_registered"
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    (root / "inner" / "models.py").write_text("def rank(model, device): return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in [each for each in sys.modules if each.partition(".")[0] == root.name]:
        monkeypatch.delitem(sys.modules, module)  # of a test before this one, elsewhere
    return root


def test_an_entry_names_a_function_and_the_digest_of_its_code() -> None:
    assert parse_code({"rank": f"company.models:rank@{DIGEST}"}) == {"rank": Code("company.models", "rank", DIGEST)}


@pytest.mark.parametrize(
    "entry",
    ["company.models:rank", f"company.models@{DIGEST}", "a:b@sha256:12", f"a:b@{DIGEST}0", f"a b:c@{DIGEST}", ""],
)
def test_an_entry_of_another_form_is_refused(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the service, which does not start and names the setting."""
    with pytest.raises(InvalidArgument, match="rank: must be module:function@sha256"):
        parse_code({"rank": entry})
    monkeypatch.setenv("HEADWATER_ENGINE_CODE", json.dumps({"rank": entry}))
    with pytest.raises(StartupError, match="HEADWATER_ENGINE_CODE"):
        read_settings(Settings)


def test_the_digest_is_over_all_sources_and_imports_none(package: Path) -> None:
    first = digest_of("headwater_registered.inner.models")
    assert first == digest_of("headwater_registered")
    (package / "inner" / "notes.txt").write_text("no code")
    assert digest_of("headwater_registered") == first
    (package / "inner" / "more.py").write_text("")
    second = digest_of("headwater_registered")
    (package / "inner" / "more.py").rename(package / "more.py")
    assert len({first, second, digest_of("headwater_registered")}) == 3
    assert not (package.parent / "imported").exists()


def test_code_that_has_changed_does_not_run(package: Path) -> None:
    code = Code("headwater_registered.inner.models", "rank", digest_of("headwater_registered"))
    (package / "inner" / "models.py").write_text("def rank(model, device): return 1\n")
    with pytest.raises(CodeChanged):
        code.load()
    assert not (package.parent / "imported").exists()
    assert Code(code.module, "rank", digest_of("headwater_registered")).load()(None, "cpu") == 1
    assert (package.parent / "imported").exists()


def test_what_is_not_there_is_told(package: Path) -> None:
    with pytest.raises(CodeChanged, match="not installed"):
        Code("headwater_absent", "rank", DIGEST).load()
    with pytest.raises(CodeChanged, match="no function sort"):
        Code("headwater_registered", "sort", digest_of("headwater_registered")).load()
    with pytest.raises(CodeChanged, match=r"cannot be imported: .*outer"):
        Code("headwater_registered.outer", "rank", digest_of("headwater_registered")).load()


def test_what_registers_a_function_is_printed(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "headwater_registered.inner.models:rank"
    assert main([name]) == 0
    printed = capsys.readouterr().out.strip()
    assert parse_code({"rank": printed})["rank"].digest == digest_of("headwater_registered")
    assert not (package.parent / "imported").exists()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("headwater_absent:rank", "No module headwater_absent"),
        ("headwater_registered.outer:rank", "No module headwater_registered.outer"),
        ("headwater_registered.inner.models:sort", "headwater_registered.inner.models has no function sort"),
        ("headwater_registered.inner.models:device", "has no function device"),
        ("headwater_registered.inner.broken:rank", "is no Python"),
        ("headwater_registered", "must be module:function"),
        ("headwater_registered:no-name", "must be module:function"),
        ("headwater_registered..inner:rank", "must be module:function"),
        (":rank", "must be module:function"),
    ],
)
def test_what_cannot_be_registered_is_told_and_nothing_is_printed(
    package: Path, capsys: pytest.CaptureFixture[str], entry: str, told: str
) -> None:
    (package / "inner" / "broken.py").write_text("def rank(:\n")
    assert main([entry]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"{entry}: ")
    assert told in printed.err
    assert not (package.parent / "imported").exists()


@pytest.mark.parametrize(
    "source",
    ["rank = len", "from math import floor as rank", "if True:\n    class rank: pass", "from math import *"],
)
def test_a_name_that_is_made_otherwise_can_be_registered(package: Path, source: str) -> None:
    (package / "inner" / "models.py").write_text(f"{source}\n")
    assert main(["headwater_registered.inner.models:rank"]) == 0
