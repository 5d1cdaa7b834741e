"""What others have said, made fit to be kept and shown."""

import pytest

from services.inference.texts import storable


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("plain", "plain"),
        ("zwölf", "zwölf"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
        ("ö\0\udfff", "ö\ufffd?"),
    ],
)
def test_a_text_loses_only_what_no_database_keeps(said: str, kept: str) -> None:
    assert storable(said) == kept
