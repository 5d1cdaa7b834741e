"""``headwater datastore`` and ``headwater dataset link|checkpoint`` as a user types them."""

import asyncio
import io
import json
import sys
from pathlib import Path

import pytest

from chassis.auth import Role
from chassis.testing import StartService, TokenFor
from headwater import cli
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.places import BUCKET, SECRET, s3_bucket, sqlite


async def test_a_place_is_linked_and_copied_from_the_command_line(
    start_service: StartService,
    token_for: TokenFor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "rows.csv").write_text("a\n1\n2\n")
    sqlite(lake / "rows.sqlite", 3)

    def exit_code(*arguments: str) -> int | str | None:
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        return end.value.code

    def headwater(*arguments: str) -> str:
        assert exit_code(*arguments) in (0, None), capsys.readouterr().err
        return capsys.readouterr().out

    def refused(*arguments: str) -> str:
        assert exit_code(*arguments) == 1
        return capsys.readouterr().err

    def files() -> None:
        assert "lake" in headwater("datastore", "create", "lake", "--folder", str(lake))
        assert "reached in" in headwater("datastore", "check", "lake")
        headwater("datastore", "create", "shop", "--sqlite", f"{lake}/rows.sqlite")
        assert "v1.0.0" in headwater("dataset", "link", "d", "lake", "rows.csv", "--message", "first")
        assert "nothing changed" in headwater("dataset", "link", "d", "lake", "rows.csv")
        headwater("dataset", "link", "o", "shop", "--table", "orders")
        headwater("dataset", "pull", "o", "train", str(tmp_path / "o.csv"))
        assert (tmp_path / "o.csv").read_text().count("\n") == 4
        assert "lake" in headwater("dataset", "show", "d")
        assert "NO_ROWS_STORED" in refused("dataset", "export", "d", str(tmp_path / "empty"))
        assert not (tmp_path / "empty").exists()
        made = headwater("dataset", "checkpoint", "create", "d", "friday", "--copy", "--wait")
        headwater("dataset", "export", "d", str(tmp_path / "copy"), "--format", "csv")
        assert [file.name for file in (tmp_path / "copy").iterdir()] == ["train.csv"]
        assert "ready" in made
        assert "train 2" in made
        assert headwater("dataset", "checkpoint", "list", "d").splitlines()[1].split()[:4] == [
            "friday",
            "ready",
            "yes",
            "2",
        ]
        assert "sha256:" in headwater("dataset", "checkpoint", "show", "d", "friday")
        (lake / "rows.csv").write_text("a\n7\n")
        headwater("dataset", "checkpoint", "create", "d", "monday", "--copy", "--wait")
        for choice, expected in (((), [7]), (("--checkpoint", "friday"), [1, 2])):
            headwater("dataset", "pull", "d", "train", str(tmp_path / "d.jsonl"), *choice)
            pulled = (tmp_path / "d.jsonl").read_text().splitlines()
            assert [json.loads(line)["a"] for line in pulled] == expected
        bare = headwater("dataset", "checkpoint", "create", "d", "bare")
        assert "ready" in bare
        pull = ("dataset", "pull", "d", "train", str(tmp_path / "x.csv"), "--checkpoint")
        assert "CHECKPOINT_HAS_NO_ROWS" in refused(*pull, "bare")
        assert "CHECKPOINT_NOT_FOUND" in refused(*pull, "none")
        headwater("datastore", "rename", "lake", "pond")
        headwater("datastore", "archive", "pond")
        assert "pond" not in headwater("datastore", "list")
        assert "archived" in headwater("datastore", "list", "--archived")
        assert "DATASTORE_NOT_FOUND" in refused("dataset", "link", "d", "pond", "rows.csv")
        for wrong in (
            ("datastore", "create", "x"),
            ("datastore", "create", "x", "--folder", "/a", "--s3", "b"),
            ("datastore", "create", "x", "--folder", "/a", "--region", "b"),
            ("datastore", "create", "x", "--postgresql", "host"),
            ("datastore", "credentials", "shop"),
            ("dataset", "link", "d", "shop"),
        ):
            assert "INVALID_ARGUMENT" in refused(*wrong)

    def secrets(place: tuple[str, ...]) -> None:
        monkeypatch.setenv("KEY_ID", "someone")
        monkeypatch.setenv("SECRET_KEY", SECRET)
        given = ("--credential", "access_key_id=KEY_ID", "--credential", "secret_access_key=SECRET_KEY")
        shown = headwater("datastore", "create", "bucket", *place, *given)
        assert "access_key_id, secret_access_key" in shown
        headwater("datastore", "check", "bucket")
        for text in (
            f'{{"access_key_id": "me", "secret_access_key": "{SECRET}"}}',
            f"access_key_id=me\nsecret_access_key={SECRET}\n",
        ):
            monkeypatch.setattr(sys, "stdin", io.StringIO(text))
            shown += headwater("datastore", "credentials", "bucket", "--credentials-stdin")
        assert "access_key_id" not in headwater("datastore", "credentials", "bucket", "--remove")
        shown += refused("datastore", "credentials", "bucket", "--credential", SECRET)
        shown += refused("datastore", "credentials", "bucket", "--credential", f"x={SECRET}")
        assert SECRET not in shown

    with s3_bucket() as bucket:
        service = await start_service(
            build,
            Settings,
            flight_port=0,
            datastore_folders=str(lake),
            datastore_hosts=bucket.host,
            checkpoint_poll_interval_s=0.1,
        )
        monkeypatch.setenv("HEADWATER_DATASET_ADDRESS", service.address)
        monkeypatch.setenv("HEADWATER_DATASET_FLIGHT_ADDRESS", f"127.0.0.1:{service.flight_port}")
        monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.ADMIN, subject="ann"))
        await asyncio.to_thread(files)
        await asyncio.to_thread(secrets, ("--s3", BUCKET, "--endpoint", f"http://{bucket.host}"))
