"""Options of deployments as people write them, and what they are told when they make a mistake."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from headwater import deployment_options
from headwater.errors import InvalidArgument
from services.inference.batching.convert import batching_to_proto
from services.inference.batching.options import Batching
from services.inference.cache.convert import caching_to_proto
from services.inference.cache.options import Caching
from services.inference.drift.convert import drift_to_proto
from services.inference.drift.options import Drift
from services.inference.guard.convert import guard_to_proto
from services.inference.guard.options import Guarding
from services.inference.records.convert import recording_to_proto
from services.inference.records.recording import Recording


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"batching": {"max_delay": "5ms"}}, {"batching": {"max_delay": "0.005s"}}),
        ({"batching": {"maxDelay": "1.5m"}}, {"batching": {"max_delay": "90s"}}),
        ({"cache": {"ttl": "2h", "max_bytes": "67108864"}}, {"cache": {"ttl": "7200s", "max_bytes": "67108864"}}),
        ({"engine": {"autocast": "bf16"}}, {"engine": {"autocast": "AUTOCAST_BF16"}}),
        ({"preparing": {"input": "INPUT_RAW"}}, {"preparing": {"input": "INPUT_RAW"}}),
        (
            {"routing": {"variants": [{"name": "next", "stage": "staging", "role": "Shadow", "weight_percent": 5}]}},
            {
                "routing": {
                    "variants": [
                        {"name": "next", "stage": "STAGE_STAGING", "role": "ROLE_SHADOW", "weight_percent": 5.0}
                    ]
                }
            },
        ),
        ({"recording": None}, {}),
    ],
)
def test_what_people_write_is_what_they_mean(written: dict[str, Any], meant: dict[str, Any]) -> None:
    parsed = deployment_options.parsed(written)
    assert json_format.MessageToDict(parsed, preserving_proto_field_name=True) == meant
    assert deployment_options.parsed(meant) == parsed, "what is shown can be given back"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"batchign": {}}, "batchign is no option of a deployment; there are batching, preparing, engine,"),
        ({"model": "other"}, "model is no option of a deployment"),
        (
            {"batching": {"max_batch": 3}},
            "batching.max_batch: there is no such option; there are max_batch_size, max_q",
        ),
        ({"batching": 3}, "batching must hold options by name; it is 3."),
        ({"batching": {"max_batch_size": "many"}}, "batching.max_batch_size must be a whole number; it is 'many'."),
        ({"batching": {"max_batch_size": True}}, "batching.max_batch_size must be a whole number; it is True."),
        ({"batching": {"max_batch_size": 1, "maxBatchSize": 2}}, "batching.max_batch_size comes twice."),
        ({"batching": {"max_batch_size": 2**40}}, "max_batch_size"),
        ({"batching": {"max_delay": 5}}, "batching.max_delay must be a time with its unit, such as 5ms, 2s, 1m or 1h"),
        ({"batching": {"max_delay": "5 ms"}}, "it is '5 ms'."),
        ({"batching": {"padding": {}}}, "batching.padding must be a list"),
        (
            {"batching": {"padding": [{"inputs": [{"nam": "x"}]}]}},
            "batching.padding[0].inputs[0].nam: there is no such",
        ),
        ({"engine": {"autocast": "int4"}}, "engine.autocast must be one of bf16, fp16; it is 'int4'."),
        ({"engine": {"device": 0}}, "engine.device must be a text; it is 0."),
        ({"cache": {"enabled": "yes"}}, "cache.enabled must be true or false; it is 'yes'."),
        ({"routing": {"tolerance": "small"}}, "routing.tolerance must be a number; it is 'small'."),
    ],
)
def test_a_mistake_is_named_by_its_place_and_by_what_there_is(written: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        deployment_options.parsed(written)
    assert told in refused.value.message
    assert "Message type" not in refused.value.message


@pytest.mark.parametrize(
    "written",
    [
        {"batching": {"max_batch_size": 0}},
        {"batching": {"maxQueueSize": 0}},
        {"cache": {"enabled": True, "max_bytes": "0"}},
        {"recording": {"max_body_bytes": 0}},
        {"drift": {"false_alarms": 0.0}},
        {"engine": {"threads": 0}},
        {"guard": {"breaker": {"max_error_rate": 0}}},
        {"guard": {"rollback": {"probationMs": 0}}},
    ],
)
def test_zero_is_refused_where_it_would_be_taken_for_a_default(written: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="cannot be 0; leave it out for its default"):
        deployment_options.parsed(written)


def test_zero_is_taken_where_it_means_none() -> None:
    written = {
        "batching": {"max_delay": "0s", "priority_levels": 0, "queue_timeout": "0s"},
        "guard": {"breaker": {"max_p99_ms": 0}, "rollback": {"max_p99_ms": 0}},
        "recording": {"sample_rate": 0},
    }
    assert deployment_options.parsed(written).HasField("guard")


def test_every_option_of_which_the_api_makes_a_default_of_zero_is_refused_as_zero() -> None:
    """Whatever number is not 0 by default is one that 0 would be taken for another of."""
    shown = {
        "batching": batching_to_proto(Batching()),
        "cache": caching_to_proto(Caching()),
        "drift": drift_to_proto(Drift()),
        "guard": guard_to_proto(Guarding()),
        "recording": recording_to_proto(Recording()),
    }
    numbers = {path for name, message in shown.items() for path in _numbers(message, name)}
    unset = {"batching.default_priority_level", "engine.threads", "engine.instances"}
    assert numbers | unset == deployment_options._NEVER_ZERO


def _numbers(message: Message, where: str) -> Iterator[str]:
    for field, value in message.ListFields():
        if isinstance(value, Message):
            yield from _numbers(value, f"{where}.{field.name}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{where}.{field.name}"
