"""Settings: read once, checked, shown without secrets."""

import pytest
from pydantic import ValidationError

from chassis.errors import StartupError
from chassis.process import read_settings
from chassis.settings import ServiceSettings, redact


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_PORT", "50051")
    monkeypatch.setenv("HEADWATER_LOG_LEVEL", "debug")
    monkeypatch.setenv("HEADWATER_REDIS_URL", "")
    settings = read_settings(ServiceSettings)
    assert (settings.port, settings.log_level, settings.redis_url) == (50051, "DEBUG", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("GRACE_S", "nan"),
        ("GRACE_S", "-1"),
        ("TRACE_RATIO", "2"),
        ("LOG_LEVEL", "LOUD"),
        ("MAX_MESSAGE_BYTES", "0"),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"HEADWATER_{name}", value)
    with pytest.raises(StartupError, match=f"HEADWATER_{name}") as caught:
        read_settings(ServiceSettings)
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        ServiceSettings().port = 1


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in ServiceSettings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("database_url", "postgresql://bob:hunter2@db:5432/x", "postgresql://bob:***@db:5432/x"),
        ("database_url", "postgresql://db/x?user=bob&password=hunter2", "postgresql://db/x?user=bob&password=***"),
        ("redis_url", "redis://:hunter2@cache/0", "redis://:***@cache/0"),
        ("blobs_url", "file:///var/lib/headwater", "file:///var/lib/headwater"),
        ("blobs_url", "s3://bucket?secret_access_key=hunter2&region=x", "s3://bucket?secret_access_key=***&region=x"),
        ("blobs_url", "https://bob@host/x?a=b", "https://bob@host/x?a=b"),
        ("broken_url", "http://[hunter2:x@", "***"),
        ("authorization", "Bearer hunter2", "***"),
        ("s3_secret", "hunter2", "***"),
        ("api_token", "hunter2", "***"),
        ("password", "hunter2", "***"),
        ("signing_key", "hunter2", "***"),
        ("auth_key_file", "/etc/headwater/auth.key", "/etc/headwater/auth.key"),
        ("token", "", ""),
        ("monkey", "banana", "banana"),
        ("port", 50051, 50051),
    ],
)
def test_secrets_are_masked_and_nothing_else_is(name: str, value: object, shown: object) -> None:
    assert redact(name, value) == shown
