"""What one deployment keeps loaded for its variants, shadows and fallbacks."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.deadline import set_remaining_s
from chassis.ids import new_id
from chassis.testing.clock import ManualClock
from headwater.names import DeploymentName
from headwater.tensors import Tensor
from services.inference.batching.batcher import Batcher
from services.inference.deployments.follower import Follower
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment, State
from services.inference.errors import VersionNotServed
from services.inference.models.memory import NewFile
from services.inference.models.source import ModelVersion, Selector, SelectorKind
from services.inference.question import Question
from services.inference.records.memory import MemoryRecords
from services.inference.records.recorder import Recorder
from services.inference.traffic.options import Fallback, Role, Routing, Variant
from services.inference.traffic.shadows import Shadows
from tests.unit.inference.test_serving import MODEL, NAME, PRODUCTION, World
from tests.unit.inference.waiting import eventually


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "cache")
    yield made
    await made.serving.close()


def version(number: int) -> Selector:
    return Selector(SelectorKind.VERSION, str(number))


def alias(name: str) -> Selector:
    return Selector(SelectorKind.ALIAS, name)


async def route(world: World, *variants: Variant, fallbacks: tuple[Fallback, ...] = ()) -> Follower:
    await world.deployments.update(NAME, "", options={"routing": Routing(variants, fallbacks)})
    await world.follow()
    return world.serving.follower("digits")


def question(key: str = "", number: str = "") -> Question:
    return Question("digits", number, {}, (), "caller", "", 0.0, routing_key=key)


async def factor(loaded: Loaded | None) -> float:
    assert loaded is not None
    computed = await loaded.batcher.compute([np.ones((1, 4), np.float32)])
    return float(computed.outputs[0][0, 0])


async def test_versions_of_several_stages_answer_at_once(world: World) -> None:
    """R-23: each is followed as it moves."""
    staging = Selector(SelectorKind.STAGE, "staging")
    world.add(3)
    await world.deploy()
    world.models.point(MODEL, staging, world.add(5, stage=False))
    follower = await route(world, Variant("next", staging, 50))
    assert {await factor(follower.choose(question(f"user-{n}")).loaded) for n in range(20)} == {3, 5}
    world.models.point(MODEL, staging, world.add(7, stage=False))
    await world.follow()
    assert {await factor(follower.choose(question(f"user-{n}")).loaded) for n in range(20)} == {3, 7}
    with pytest.raises(VersionNotServed) as refused:
        follower.choose(question(number="2"))
    assert refused.value.metadata["served"] == "1, 3"


async def test_a_version_of_several_targets_is_loaded_once_and_as_long_as_one_of_them_wants_it(world: World) -> None:
    world.add(3)
    await world.deploy()
    main = world.serving.find("digits")
    follower = await route(
        world,
        Variant("same", version(1), 10),
        Variant("copy", version(1), 10, Role.SHADOW),
        fallbacks=(Fallback(version(1)),),
    )
    assert [target.loaded for target in follower.targets] == [main] * 4
    assert follower.versions() == [main]

    world.add(5)
    await world.follow()
    assert main.batcher.answers
    assert [each.version_number for each in follower.versions()] == ["2", "1"]
    await route(world)
    await eventually(lambda: not main.batcher.answers)
    assert [each.version_number for each in follower.versions()] == ["2"]


async def test_a_variant_that_becomes_the_main_version_is_not_loaded_again(world: World) -> None:
    """A promotion: nobody is answered by the version before in between, and no engine is made anew."""
    world.add(3)
    await world.deploy()
    world.add(5, stage=False)
    follower = await route(world, Variant("next", version(2), 100))
    loaded = follower.choose(question()).loaded
    seen: set[str] = set()
    watching = asyncio.create_task(watch(follower, seen))
    await world.deployments.update(NAME, "", selector=version(2), options={"routing": Routing()})
    await world.follow()
    await asyncio.sleep(0)
    watching.cancel()
    assert follower.loaded is loaded
    assert not follower.routed
    assert seen == {"2"}


async def watch(follower: Follower, seen: set[str]) -> None:
    while True:
        loaded = follower.choose(question()).loaded
        seen.add(loaded.version_number if loaded is not None else "none")
        await asyncio.sleep(0)


async def test_a_variant_that_gets_another_name_is_not_loaded_again(world: World) -> None:
    world.add(3)
    await world.deploy()
    world.add(5, stage=False)
    before = (await route(world, Variant("a", version(2), 100))).choose(question()).loaded
    assert (await route(world, Variant("b", version(2), 100))).choose(question()).loaded is before


async def test_versions_share_nothing_and_one_that_cannot_be_loaded_stops_no_other(world: World) -> None:
    world.add(3)
    await world.deploy()
    world.models.add(MODEL, {"model.onnx": NewFile("onnx", b"no model")})
    world.add(5, stage=False)
    follower = await route(world, Variant("broken", version(2), 10), Variant("whole", version(3), 10))
    status = await world.status()
    assert status.state is State.FAILED
    assert status.failure.startswith("broken: projects/p/models/digits/versions/2: ")
    assert status.model_version.endswith("/1")
    engines = {id(each.batcher) for each in follower.versions()}
    assert len(engines) == 2
    await route(world, Variant("whole", version(3), 10))
    assert (await world.status()).state is State.READY


async def test_a_variant_of_which_nothing_is_there_yet_waits(world: World) -> None:
    world.add(3)
    await world.deploy()
    follower = await route(world, Variant("next", alias("challenger"), 100))
    assert follower.choose(question()).loaded is None
    assert (await world.status()).state is State.READY
    assert [target.name for target in world.serving.stand_ins(follower)] == ["main"]
    assert (await factor(world.serving.find("digits"))) == 3


async def test_another_deployment_stands_in_under_its_name(world: World) -> None:
    world.add(3)
    await world.deploy()
    world.add(5, stage=False)
    await world.deploy(version(2), DeploymentName("p", "other"))
    fallbacks = (Fallback(version(2)), Fallback(deployment="nobody"), Fallback(deployment="other"))
    follower = await route(world, fallbacks=fallbacks)
    found = [(target.name, await factor(target.loaded)) for target in world.serving.stand_ins(follower)]
    assert found == [("main", 3), ("fallback-1", 5), ("main", 5)]
    world.models.point(MODEL, PRODUCTION, None)
    await world.follow()
    assert await factor(world.serving.find("digits")) == 5, "who asks what is served is told of who would answer"


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["route", "serve", "move", "unload", "load", "tick"]),
        st.lists(st.integers(1, 3), min_size=3, max_size=3),
        st.booleans(),
    ),
    min_size=3,
    max_size=9,
)


@given(CHANGES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_changes_at_whatever_moment_what_is_wanted_is_loaded_and_nothing_else(
    tmp_path: Path, changes: Sequence[tuple[str, Sequence[int], bool]]
) -> None:
    """Routes, main versions, aliases and pauses in any order, some of them while the ones before are still at work."""
    asyncio.run(change(tmp_path, changes))


async def change(directory: Path, changes: Sequence[tuple[str, Sequence[int], bool]]) -> None:
    world = World(directory / "cache")
    versions = [world.add(factor) for factor in (1, 2, 3)]
    world.models.point(MODEL, alias("moving"), versions[0])
    await world.deploy()
    made: set[Batcher] = set()
    for what, numbers, settles in changes:
        await apply(world, what, numbers, versions)
        await world.serving.step()
        if settles:
            await world.serving.settle()
        else:
            await asyncio.sleep(0)
        made.update(each.batcher for each in world.serving.follower("digits").versions())
    await world.deployments.update(NAME, "", options={"unloaded": False})
    for _ in range(3):  # what had begun before the last change, that change, and what follows from it
        await world.follow()

    follower = world.serving.follower("digits")
    deployment = await world.deployments.get(NAME)
    assert follower.routing == deployment.options.routing
    wanted = {(await world.models.resolve(MODEL, each)).name.version for each in selectors(deployment)}
    assert {each.version_number for each in follower.versions()} == wanted
    assert all(target.answers for target in follower.targets)
    made.update(each.batcher for each in follower.versions())
    await eventually(lambda: sum(each.answers for each in made) == len(wanted))
    await world.serving.close()
    assert not any(each.answers for each in made)
    if others := asyncio.all_tasks() - {asyncio.current_task()}:  # what was opened for nobody is closed
        await asyncio.wait(others)


async def apply(world: World, what: str, numbers: Sequence[int], versions: Sequence[ModelVersion]) -> None:
    first, second, third = numbers
    match what:
        case "route":
            routing = Routing(
                (Variant("a", version(first), 20), Variant(f"b{second}", alias("moving"), 20, Role.SHADOW)),
                tuple(Fallback(version(number)) for number in range(1, third)),
            )
            await world.deployments.update(NAME, "", options={"routing": routing})
        case "serve":
            routing = Routing() if second == 1 else (await world.deployments.get(NAME)).options.routing
            await world.deployments.update(NAME, "", selector=version(first), options={"routing": routing})
        case "move":
            world.models.point(MODEL, alias("moving"), versions[first - 1])
        case "unload" | "load":
            await world.deployments.update(NAME, "", options={"unloaded": what == "unload"})


def selectors(deployment: Deployment) -> list[Selector]:
    routing = deployment.options.routing
    fallbacks = [each.selector for each in routing.fallbacks if each.selector is not None]
    return [deployment.selector, *(each.selector for each in routing.variants), *fallbacks]


async def test_a_copy_has_time_when_who_asked_has_none_left(world: World, clock: ManualClock) -> None:
    """They have their answer; that they were in a hurry is no disagreement of the shadow."""
    world.add(3)
    world.add(5, stage=False)
    await world.deploy()
    follower = await route(world, Variant("copy", version(2), 100, Role.SHADOW))
    inputs = {"x": Tensor("x", "FP32", np.ones((1, 4), np.float32))}
    asked = dataclasses.replace(question(), inputs=inputs)
    recorder = Recorder(MemoryRecords(), flush_interval_s=1, max_records=10, max_bytes=2**20)
    shadows = Shadows(recorder, clock)
    assert follower.loaded is not None
    answer = await follower.loaded.compute(asked)
    set_remaining_s(-1.0)
    shadows.copy(follower, asked, new_id(), answer.outputs)
    set_remaining_s(None)
    await shadows.settle()
    copied = follower.shadows[0].target.loaded
    assert copied is not None
    assert (copied.comparisons.failed, copied.comparisons.compared) == (0, 1)
