"""How versions differ, over every store (M-80, M-107)."""

import math

import pytest

from services.registry.artifacts.artifacts import Artifacts
from services.registry.comparisons.comparing import Comparing
from services.registry.comparisons.model import Row, Section
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, NewEdge, Role
from services.registry.origin import Origin
from services.registry.runs.runs import Runs
from services.registry.store import Store
from services.registry.versions.errors import ModelVersionNotFound
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import (
    DEFAULT,
    DIGITS,
    a_run,
    dataset_node,
    metrics,
    safetensors,
    upload,
    version_of,
)


@pytest.fixture
def comparing(store: Store) -> Comparing:
    """The use case of comparing."""
    return Comparing(store)


async def _register(
    versions: Versions,
    runs: Runs,
    lineages: Lineages,
    artifacts: Artifacts,
    me: Origin,
    *,
    width: int,
    data: str,
    measured: dict[str, float],
    **hyperparameters: float,
) -> None:
    run = await runs.create(DEFAULT, a_run(), me)
    await runs.log(run.name, metrics(**measured), {}, me)
    edge = NewEdge(dataset_node(data).name, str(run.name), str(run.name), Role.INPUT)
    await lineages.connect(DEFAULT, Connections([dataset_node(data)], [edge]), me)
    files = {"model.safetensors": await upload(artifacts, safetensors(weight=(width,)), me)}
    await versions.create(DIGITS, version_of(files, run.name, hyperparameters), me)


async def test_versions_are_compared_with_the_first(
    comparing: Comparing, versions: Versions, runs: Runs, lineages: Lineages, artifacts: Artifacts, me: Origin
) -> None:
    common = (versions, runs, lineages, artifacts, me)
    await _register(*common, width=4, data="v1.0.0", measured={"accuracy": 0.75, "loss": 2.0}, depth=2, rate=0.1)
    await _register(*common, width=8, data="v1.1.0", measured={"accuracy": 0.875}, depth=2, rate=0.5)
    found = await comparing.compare([(DIGITS, 1), (DIGITS, 2)])
    assert [version.version for version in found.versions] == [1, 2]
    assert all(not file.facts.tensors for version in found.versions for file in version.files)
    rows = {(row.section, row.key): row for row in found.rows}
    assert rows[Section.METRIC, "accuracy"] == Row(Section.METRIC, "accuracy", ["0.75", "0.875"], [0.0, 0.125])
    loss = rows[Section.METRIC, "loss"]
    assert (loss.values, loss.differs) == (["2", ""], True)
    assert math.isnan(loss.differences[1])
    assert not rows[Section.HYPERPARAMETER, "depth"].differs
    assert rows[Section.HYPERPARAMETER, "rate"].differences == [0.0, pytest.approx(0.4)]
    assert rows[Section.SIZE, "parameters"] == Row(Section.SIZE, "parameters", ["4", "8"], [0.0, 4.0])
    assert rows[Section.LINEAGE, "projects/default/datasets/digits"].values == ["v1.0.0", "v1.1.0"]
    assert rows[Section.GENERAL, "framework"].values == ["pytorch 2.13.0"] * 2
    assert [*dict.fromkeys(row.section for row in found.rows)] == sorted({row.section for row in found.rows})


async def test_hyperparameters_of_the_user_metadata_are_compared_one_by_one(
    comparing: Comparing, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """M-80: and not a second time as one text."""
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    for rate in (1, 2):
        said = {"hyperparameters": f'{{"rate": {rate}, "depth": 3}}', "team": f"vision-{rate}"}
        await versions.create(DIGITS, version_of(files, user_metadata=said), me)
    rows = (await comparing.compare([(DIGITS, 1), (DIGITS, 2)])).rows
    assert [row.key for row in rows if row.differs] == ["metadata team", "rate"]


async def test_a_version_that_is_not_there_is_not_compared(
    comparing: Comparing, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    await versions.create(DIGITS, version_of({"weights.bin": await upload(artifacts, b"weights", me)}), me)
    with pytest.raises(ModelVersionNotFound):
        await comparing.compare([(DIGITS, 1), (DIGITS, 2)])
