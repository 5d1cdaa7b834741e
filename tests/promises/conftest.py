"""Fixtures of the promises' tests."""

import urllib.parse
from pathlib import Path

import pytest


@pytest.fixture
def platform_secrets(postgres_url: str, auth_key_file: Path) -> list[str]:
    """What no service may tell: the database password and the signing key."""
    password = urllib.parse.urlsplit(postgres_url).password
    assert password
    return [password, auth_key_file.read_text()]
