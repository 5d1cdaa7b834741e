"""Options of deployments as people write them, and what they are told when they make a mistake."""

from typing import Any

import pytest
from google.protobuf import json_format

from headwater import deployment_options
from headwater.errors import InvalidArgument


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
