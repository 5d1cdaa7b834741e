"""Secrets are never stored, echoed or written (M-72)."""

import copy
import dataclasses
import json
import pickle

import pytest
import yaml

from headwater import packaging
from headwater.packaging import Secret
from headwater.packaging.values import SecretNotSet, is_placeholder
from tests.unit.packaging.documents import GENERAL, WHOLE, changed, errors_of, warnings_of

CLEAR = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


def store(**connection: object) -> str:
    """MLSpec's package with another connection of its data store."""
    return changed("data_stores.0.connection", {**WHOLE["data_stores"][0]["connection"], **connection})


def secret_of(text: str) -> Secret:
    document = packaging.read(text).document
    assert isinstance(document, packaging.ModelPackage)
    connection = document.data_stores[0].connection
    assert connection
    assert connection.secret_access_key
    return connection.secret_access_key


def test_a_secret_in_clear_is_kept_for_its_use_and_shown_nowhere() -> None:
    reading = packaging.read(store(secret_access_key=CLEAR))
    secret = secret_of(store(secret_access_key=CLEAR))
    assert secret.reveal({}) == CLEAR
    shown = (
        *(repr(reading), str(reading.document), packaging.write(reading.document), f"{secret} {secret!r}"),
        *(str(remark) for remark in reading.warnings),
        json.dumps(dataclasses.asdict(reading.document), default=str),
        str(dataclasses.asdict(reading.document)),
    )
    assert not any(CLEAR in text for text in shown)
    assert CLEAR.encode() not in pickle.dumps(reading.document)
    assert copy.deepcopy(secret).reveal({}) == CLEAR


def test_what_is_written_refers_to_the_variable_that_holds_it() -> None:
    document = packaging.read(store(secret_access_key=CLEAR)).document
    written = packaging.write(document)
    assert "secret_access_key: ${AGE_DATASTORE_SECRET_ACCESS_KEY}" in written
    again = packaging.read(written)
    assert again.document == document
    assert not any("secret" in remark.path for remark in again.warnings)
    secret = secret_of(written)
    assert secret.reveal({"AGE_DATASTORE_SECRET_ACCESS_KEY": CLEAR}) == CLEAR
    with pytest.raises(SecretNotSet, match="Set AGE_DATASTORE_SECRET_ACCESS_KEY"):
        secret.reveal({})


def test_two_secrets_are_never_taken_for_one() -> None:
    stores = [
        {"name": name, "connection": {"endpoint": "e", "access_key_id": "${ID}", "secret_access_key": CLEAR + name}}
        for name in ("my-store", "my_store")
    ]
    found = errors_of(changed("data_stores", stores))
    assert set(found) == {"data_stores[1].connection.secret_access_key"}
    assert CLEAR not in str(found)
    stores[1]["name"] = "other"
    assert not errors_of(changed("data_stores", stores))


@pytest.mark.parametrize("written", ["${KEY}", "$KEY", "${env:KEY}"])
def test_a_reference_is_not_a_secret_in_clear(written: str) -> None:
    secret = secret_of(store(secret_access_key=written))
    assert (secret.variable, secret.is_clear, str(secret)) == ("KEY", False, "${KEY}")


def test_a_token_of_a_container_registry_is_a_secret() -> None:
    text = changed("container_stores.0.connection.container_registry_token", CLEAR)
    assert CLEAR not in packaging.write(packaging.read(text).document)
    assert "${CONTAINER_STORE_CONTAINER_REGISTRY_TOKEN}" in packaging.write(packaging.read(text).document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data_stores.0.connection.secret_access_key", [CLEAR]),
        ("data_stores.0.connection.secret_acess_key", CLEAR),
        ("data_stores.0.connection", CLEAR),
        ("data_stores.0.connection.endpoint", f"https://me:{CLEAR}@store.example"),
        ("train.model_source.initial_model.url", f"https://store.example/m?X-Amz-Signature={CLEAR}"),
        ("train.model_source.initial_model.url", f"https://storage.example/m?x-goog-signature={CLEAR}"),
        ("train.model_source.initial_model.url", f"https://models.example/m?v=1&api_key={CLEAR}"),
        ("serve.serving_container_image.container_image_url", f"https://me:{CLEAR}@registry.example/m:1"),
        ("train.training_params", {"uri": f"postgresql://me:{CLEAR}@db.example/x"}),
        ("process.0.params", {"steps": [{"uri": f"postgresql://me:{CLEAR}@db.example/x"}]}),
    ],
)
def test_no_error_shows_a_secret(path: str, value: object) -> None:
    text = changed(path, value)
    found = errors_of(text)
    assert found
    assert CLEAR not in str(found)
    with pytest.raises(packaging.InvalidPackage) as caught:
        packaging.read(text)
    assert CLEAR not in f"{caught.value} {caught.value.metadata} {caught.value.violations}"


def test_no_error_of_the_text_shows_a_secret() -> None:
    broken = f"data_stores:\n - name: x\n   secret_access_key: {CLEAR}\n  bad: {CLEAR}"
    assert errors_of(broken)
    assert CLEAR not in str(errors_of(broken))
    assert CLEAR not in str(errors_of(yaml.safe_dump({CLEAR.lower() * 20: CLEAR})).values())


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"db_password": CLEAR}, "train.training_params.db_password"),
        ({"tracker": {"api_key": CLEAR}}, "train.training_params.tracker.api_key"),
        ({"callbacks": [{"AWS_SECRET_ACCESS_KEY": CLEAR}]}, "train.training_params.callbacks[0].AWS_SECRET_ACCESS_KEY"),
        ({"api_key": "${TRACKER_KEY}", "password": None, "secret": ""}, ""),
        ({"max_tokens": 512, "key": "value", "secretary": "Ada", "passwords_seen": 3}, ""),
    ],
)
def test_what_is_named_like_a_secret_is_warned_of(params: dict[str, object], named: str) -> None:
    """What is registered is never deleted."""
    found = warnings_of(yaml.safe_dump({**GENERAL, "train": {"training_params": params}}))
    assert list(found) == ([named] if named else [])
    assert CLEAR not in str(found)


def test_an_address_without_a_secret_is_kept() -> None:
    image = "https://me@registry.example:5000/m:1?tag=2"
    assert not errors_of(changed("serve.serving_container_image.container_image_url", image))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("xxx", "XXXX", "Enum(Keras, Graph...)", "http://... or test.py")),
        *((text, False) for text in ("xx", "xxxy", "a/.../b", "enum", "this or that")),
    ],
)
def test_placeholders_are_told_from_texts(text: str, expected: bool) -> None:
    assert is_placeholder(text) is expected
