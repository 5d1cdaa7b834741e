"""Everything that a caller can send wrong over HTTP: the error names it, and the next request is answered."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from chassis.auth import Authenticator, Role
from services.inference.kserve.http.documents import MAX_JSON_BYTES
from tests.integration.inference.example_service import Examples, on_free_ports, running


@pytest.fixture(scope="module")
def examples() -> Iterator[Examples]:
    """The service."""
    with running(Authenticator(b"k" * 32), on_free_ports(max_message_bytes=2**20)) as started:
        yield started


@pytest.fixture
def headers(examples: Examples) -> dict[str, str]:
    """What somebody sends who may read."""
    return examples.headers(Role.READER, subject="reader")


@pytest.fixture
def http(examples: Examples, headers: dict[str, str]) -> Iterator[httpx.Client]:
    """A client without knowledge of the protocol."""
    with httpx.Client(base_url=f"http://{examples.http}", headers=headers) as made:
        yield made


def plain(name: str = "x", shape: Any = (1, 4), data: Any = (1, 2, 3, 4), datatype: str = "FP32", **more: Any) -> Any:
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data, **more}]}


BAD = {
    "no JSON": (b"{", 400, "not JSON"),
    "no object": (b"[]", 400, "must be a JSON object"),
    "deep": (b"[" * 100_000, 400, "not JSON"),
    "unknown member": ({**plain(), "more": 1}, 400, "no member 'more'"),
    "unknown member of an input": (plain(extra=1), 400, "no member 'extra'"),
    "inputs no list": ({"inputs": {}}, 400, "inputs must be a list"),
    "no inputs": ({}, 400, "lacks 'x'"),
    "a number for an id": ({**plain(), "id": 3}, 400, "id must be a text"),
    "shape of texts": (plain(shape=["1", "4"]), 400, "shape must be a list of whole numbers"),
    "shape of truth": (plain(shape=[True, 4]), 400, "shape must be a list of whole numbers"),
    "no datatype": ({"inputs": [{"name": "x", "shape": [1, 4], "data": []}]}, 400, "a name and a datatype"),
    "unknown datatype": (plain(datatype="FLOAT"), 400, "datatype must be one of"),
    "too few": (plain(data=[1, 2]), 400, "takes 4 elements"),
    "ragged": (plain(data=[[1], [2, 3, 4]], shape=[2, 2]), 400, "do not have the shape"),
    "deeper than the shape": (plain(data=[[[1, 2, 3, 4]]]), 400, "do not have the shape"),
    "another nesting": (plain(data=[[1, 2], [3, 4]]), 400, r"have \[2, 2\]"),
    "texts for numbers": (plain(data=["1", "2", "3", "4"]), 400, "must be numbers"),
    "truth for numbers": (plain(data=[True, 1, 1, 1]), 400, "must be numbers"),
    "fractions for whole numbers": (
        plain(data=[1.5] * 4, datatype="INT32"),
        400,
        "must be whole numbers",
    ),
    "beyond the range": (plain(data=[1e300] * 4), 400, "outside of the range"),
    "whole and beyond the range": (plain(data=[300] * 4, datatype="INT8"), 400, "outside of the range"),
    "negative shape": (plain(shape=[-1, 4]), 400, "negative"),
    "overflowing shape": (plain(shape=[2**62, 4], data=[]), 400, "larger than"),
    "no data": ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32"}]}, 400, "data must be a list"),
    "brain floats in JSON": (plain(datatype="BF16"), 400, "must come as binary data"),
    "unknown parameter": ({**plain(), "parameters": {"speed": 1}}, 400, "no parameter 'speed'"),
    "a list as a parameter": ({**plain(), "parameters": {"timeout": []}}, 400, "must be a text, a number"),
    "a sequence": ({**plain(), "parameters": {"sequence_id": 1}}, 501, "Stateful models are not served"),
    "half a character in the id": ({**plain(), "id": "\ud800"}, 400, "not JSON in UTF-8"),
    "half a character in a name": (plain(name="\udfff"), 400, "not JSON in UTF-8"),
    "half a character as bytes": (b'{"id": "\xed\xa0\x80"}', 400, "not JSON in UTF-8"),
    "UTF-16": (json.dumps(plain()).encode("utf-16"), 400, "not JSON in UTF-8"),
    "NUL in the id": ({**plain(), "id": "a\0b"}, 400, "none of them NUL"),
    "infinite by its exponent": (
        b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1e999, 1, 1, 1]}]}',
        400,
        "'1e999' is larger than any FP64",
    ),
    "a shape of a thousand digits": (plain(shape=[10**1000, 4]), 400, r"shape \[1000000000000.*…, 4\] is larger"),
    "a timeout in words": ({**plain(), "parameters": {"timeout": "1"}}, 400, "positive whole number"),
    "an endless timeout": ({**plain(), "parameters": {"timeout": 0}}, 400, "positive whole number"),
    "a priority in words": ({**plain(), "parameters": {"priority": "high"}}, 400, "priority must be a whole number"),
    "a binary size without bytes": (
        {"inputs": [{**plain()["inputs"][0], "parameters": {"binary_data_size": 16}}]},
        400,
        "use one of them",
    ),
    "an output twice": ({**plain(), "outputs": [{"name": "y"}, {"name": "y"}]}, 400, "asked for twice"),
    "an unknown output": ({**plain(), "outputs": [{"name": "z"}]}, 400, "no output 'z'"),
    "shared memory": (
        {**plain(), "outputs": [{"name": "y", "parameters": {"shared_memory_region": "a"}}]},
        400,
        "Shared memory needs",
    ),
    "shared memory that is off": (
        {
            **plain(),
            "outputs": [
                {"name": "y", "parameters": {"shared_memory_region": "a", "shared_memory_byte_size": 16}},
            ],
        },
        501,
        "not supported here",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(http: httpx.Client, name: str) -> None:
    body, status, text = BAD[name]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post("/v2/models/double/infer", content=content)
    assert answer.status_code == status, answer.text
    assert re.search(text, answer.json()["error"]), answer.text
    assert len(answer.json()["error"]) < 1000
    canary = http.post("/v2/models/double/infer", json=plain())
    assert canary.json()["outputs"][0]["data"] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("length", "text"),
    [("x", "at most"), ("-1", "at most"), ("999999", "at most"), ("9" * 30, "at most"), ("3", "not JSON")],
)
def test_a_wrong_length_of_the_json_is_refused(http: httpx.Client, length: str, text: str) -> None:
    answer = http.post("/v2/models/double/infer", json=plain(), headers={"inference-header-content-length": length})
    assert (answer.status_code, text in answer.json()["error"]) == (400, True)


def test_bytes_that_belong_to_nobody_are_refused(http: httpx.Client) -> None:
    text = json.dumps(plain()).encode()
    headers = {"inference-header-content-length": str(len(text))}
    answer = http.post("/v2/models/double/infer", content=text + b"more", headers=headers)
    assert "4 bytes behind the JSON belong to no input" in answer.json()["error"]
    document = plain(parameters={"binary_data_size": 99})
    del document["inputs"][0]["data"]
    text = json.dumps(document).encode()
    headers = {"inference-header-content-length": str(len(text))}
    answer = http.post("/v2/models/double/infer", content=text + b"more", headers=headers)
    assert "4 bytes are left behind the JSON" in answer.json()["error"]


def test_a_shape_of_many_dimensions_is_not_sent_back(http: httpx.Client) -> None:
    for data in ([[1], [2]], [[1, 2, 3, 4]], [1]):
        answer = http.post("/v2/models/double/infer", json=plain(shape=[1] * 10_000, data=data))
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            "'x': a shape may have 32 dimensions; 10000 came.",
        )


def test_a_timeout_is_as_long_as_it_likes(http: httpx.Client) -> None:
    answer = http.post("/v2/models/double/infer", json={**plain(), "parameters": {"timeout": 10**400}})
    assert answer.json()["outputs"][0]["data"] == [2, 4, 6, 8]


def test_characters_beyond_16_bits_may_be_escaped(http: httpx.Client) -> None:
    answer = http.post("/v2/models/double/infer", content=json.dumps({**plain(), "id": "\U0001f600"}))
    assert answer.json()["id"] == "\U0001f600"


def test_bombs_and_broken_packing_are_refused(http: httpx.Client) -> None:
    ask = "/v2/models/double/infer"
    bomb = http.post(ask, content=gzip.compress(b" " * 2**24), headers={"content-encoding": "gzip"})
    assert (bomb.status_code, bomb.json()["reason"]) == (413, "REQUEST_TOO_LARGE")
    large = http.post(ask, content=b" " * (2**20 + 1))
    assert large.status_code == 413
    endless = http.post(ask, content=iter([b" " * 2**19] * 4))
    assert endless.status_code == 413
    for content in (b"x", zlib.compress(b"{}")[:-1], gzip.compress(b"{}") * 2):
        broken = http.post(ask, content=content, headers={"content-encoding": "gzip"})
        assert broken.status_code == 400
    unknown = http.post(ask, content=b"x", headers={"content-encoding": "br"})
    assert (unknown.status_code, unknown.json()["reason"]) == (415, "UNKNOWN_ENCODING")
    assert MAX_JSON_BYTES > 2**20  # what is larger than a message comes no further here
