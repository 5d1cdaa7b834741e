"""What an image is told to install."""

import tomllib

import pytest

from deploy.local.state import ROOT
from deploy.requirements import requirements

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROJECT = {
    "dependencies": ["grpcio>=1"],
    "optional-dependencies": {
        "chassis": ["redis>=7"],
        "registry": ["headwater[chassis]", "onnx>=1"],
        "dataset": ["headwater[chassis]"],
        "local": ["headwater[registry,dataset]", "psutil>=7"],
    },
}


def test_an_extra_brings_the_extras_that_it_names() -> None:
    assert requirements("registry", PROJECT) == ["grpcio>=1", "onnx>=1", "redis>=7"]
    assert requirements("local", PROJECT) == ["grpcio>=1", "onnx>=1", "psutil>=7", "redis>=7"]


def test_an_unknown_extra_is_refused() -> None:
    with pytest.raises(KeyError, match="nothing"):
        requirements("nothing", PROJECT)


def test_only_the_training_service_asks_for_torch() -> None:
    services = ("registry", "dataset", "preprocessing", "training", "inference", "gateway")
    with_torch = {name for name in services if any(r.startswith("torch") for r in requirements(name, PYPROJECT))}
    assert with_torch == {"training"}


def test_every_requirement_is_pinned_by_a_public_name() -> None:
    lines = (ROOT / "deploy/constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(pin.count("==") == 1 and "/" not in pin and "+" not in pin for pin in pins)
    pinned = {pin.split("==")[0] for pin in pins}
    asked = {_name(requirement) for requirement in requirements("dev", PYPROJECT)}
    assert asked - pinned == set()


def _name(requirement: str) -> str:
    return requirement.split(">=")[0].split("[")[0].lower()
