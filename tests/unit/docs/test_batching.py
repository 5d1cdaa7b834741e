"""docs/reference/batching.md says what the code does."""

import re

import pytest
import yaml
from google.protobuf import json_format

from headwater.inference.v1 import caching_pb2, deployments_pb2
from services.inference.batching.options import Batching
from services.inference.batching.queue import OLDEST_EVERY
from services.inference.cache.options import Caching
from services.inference.deployments.convert import options_from_proto
from services.inference.deployments.options import Options
from services.inference.kept import Kept
from tests.unit.docs.documents import ROOT

PAGE = (ROOT / "docs/reference/batching.md").read_text()


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_are_options_and_are_kept_as_they_are(text: str) -> None:
    deployment = json_format.ParseDict(yaml.safe_load(text), deployments_pb2.Deployment())

    options = options_from_proto(deployment)

    assert options != Options()
    kept = Kept(Options)
    assert kept.load(kept.dump(options)) == options


def test_every_option_has_a_line_and_its_default() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    fields = [*deployments_pb2.Batching.DESCRIPTOR.fields, *caching_pb2.Caching.DESCRIPTOR.fields]

    assert named == {field.name for field in fields}
    assert f"| `max_batch_size` | {Batching().max_batch_rows} |" in PAGE
    assert f"| `max_queue_size` | {Batching().max_queue_requests:,} |" in PAGE
    assert f"| `max_bytes` | {Caching().max_bytes // 2**20} MiB |" in PAGE
    assert f"| `max_entries` | {Caching().max_entries:,} |" in PAGE
    assert {8: "every eighth batch"}[OLDEST_EVERY] in PAGE
