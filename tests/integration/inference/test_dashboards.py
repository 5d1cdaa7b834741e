"""What deploy/ gives to Prometheus and Grafana asks for metrics and labels that there are."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.inference.conftest import Running
from tests.unit.inference.onnx_models import identity

DEPLOY = Path(__file__).parents[3] / "deploy"
_NAME = re.compile(r"\b(?:headwater|process)_[a-z_]+")
_FROM_PROMETHEUS = {"instance", "job", "le"}


def _dashboard() -> Iterator[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "inference.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def _alerts() -> Iterator[str]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    yield from (rule["expr"] for group in groups for rule in group["rules"])


async def _families(running: Running) -> Mapping[str, Any]:
    """By the names that queries use. A family has labels only once it has counted something."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.service.admin_port}") as http:
        text = (await http.get("/metrics", headers=running.headers)).text
    names: dict[str, Any] = {}
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix: family for suffix in suffixes}
    return names


@pytest.mark.parametrize("queries", [_dashboard, _alerts])
async def test_every_query_asks_for_metrics_that_the_service_has(running: Running, queries: Any) -> None:
    """M-92, P-32, P-36."""
    await running.serve("echo", identity())
    families = await _families(running)
    asked = {name for query in queries() for name in _NAME.findall(query)}
    assert asked, "nothing is asked for"
    assert asked <= families.keys()


async def test_metrics_of_a_model_have_the_labels_that_queries_group_by(running: Running) -> None:
    """M-92, P-32: what a panel groups by must be there, else it is empty."""
    await running.serve("echo", identity())
    families = await _families(running)
    for query in (*_dashboard(), *_alerts()):
        for name, rest in re.findall(r"by \(([^)]*)\) \((?:rate|increase)\((headwater_[a-z_]+)", query):
            samples = families[rest].samples
            wanted = {label.strip() for label in name.split(",")} - _FROM_PROMETHEUS
            assert all(wanted <= sample.labels.keys() for sample in samples), f"{rest} has no {wanted}"
