"""A model package's train section is a training job, and its model is what is served (M-68, M-77)."""

import asyncio
from pathlib import Path

import pytest

from headwater import cli, packaging
from headwater.client import Connection
from headwater.packaging.general import Stored
from tests.integration.training.platform import Platform

PACKAGE = """\
name: Digits, small
model_identifier: digits-small
author: {name: Ada, email: ada@example.org}
framework: {name: pytorch, runtimes: {name: python, version: '3.11'}}
train:
  trainable: true
  model_source: {initial_model: {data_store: here}, initial_model_local: {path: code}}
  model_training_results: {trained_model: {data_store: here, path: digits-small}}
  data_source: {training_data: {data_store: here, path: small@v1.0.0}}
  execution:
    command: python3 train.py
    compute_configuration: {name: local, nodes: 1}
  training_params: [{bias: 0.5}]
data_stores: [{name: here, type: headwater}]
"""
SCRIPT = """\
import torch
import headwater.training

class Model(torch.nn.Module):
    def forward(self, image):
        return image.flatten(1).sum(dim=1, keepdim=True) + BIAS

with headwater.training.session() as session:
    BIAS = session.parameters["bias"]
    rows = session.dataset("train", columns=["tensor"])
    session.log_metrics({"rows": float(len(rows.table))}, step=1)
    session.save_model(Model(), example={"image": rows.tensor("tensor")[:1]}, outputs=["sum"], architecture="sum")
"""


def environment(connection: Connection, patch: pytest.MonkeyPatch) -> None:
    """Let the command line find the services."""
    patch.setenv("HEADWATER_TOKEN", connection.token)
    for name in ("registry", "dataset", "dataset_flight", "training"):
        patch.setenv(f"HEADWATER_{name.upper()}_ADDRESS", getattr(connection.endpoints, name))


async def test_a_package_is_trained_and_then_served_from_the_version_that_came_out(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(SCRIPT)
    (tmp_path / "package.yml").write_text(PACKAGE)
    environment(platform.connection, monkeypatch)
    served = tmp_path / "served.yml"
    command = ["package", "train", str(tmp_path / "package.yml"), "--filled", str(served)]
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(cli.main, command)
    assert ended.value.code == 0
    document = packaging.read(served.read_bytes()).document
    assert isinstance(document, packaging.ModelPackage)
    assert document.serve
    assert document.serve.servable
    assert document.serve.model_source
    assert document.serve.model_source.servable_model == Stored(data_store="here", path="digits-small@1")
