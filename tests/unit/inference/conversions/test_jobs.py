"""What a tuning found is written into a deployment, or it is said why not."""

import dataclasses
from collections.abc import Mapping

import pytest

from chassis.clock import SystemClock
from headwater.names import DeploymentName, ModelName
from services.inference.batching.options import Batching
from services.inference.conversions.errors import NothingChosen
from services.inference.conversions.jobs import Conversions
from services.inference.conversions.memory import MemoryConversions
from services.inference.conversions.model import Conversion, Plan, State, Target, Tuning
from services.inference.conversions.store import End
from services.inference.deployments.deployments import Deployments, Origin
from services.inference.deployments.memory import MemoryDeployments
from services.inference.deployments.model import Deployment
from services.inference.deployments.options import Options
from services.inference.engines.options import EngineOptions
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import ModelVersion, Selector, SelectorKind
from tests.contract.inference.test_conversion_store import EVIDENCE, X

MODEL, NAME = ModelName("p", "digits"), DeploymentName("p", "digits")
LIVE = Selector(SelectorKind.ALIAS, "live")
TESTER = Origin("tester")


class Place:
    """Deployments and jobs in memory, and a model with two versions: a state, and what was made of it."""

    def __init__(self) -> None:
        self.models = MemoryModels()
        self.deployments = Deployments(MemoryDeployments(), self.models, SystemClock(), lambda: None)
        self.store = MemoryConversions()
        self.conversions = Conversions(self.store, self.models, self.deployments, 60.0)
        self.first, self.second = (self._version(text) for text in (b"1", b"2"))

    def _version(self, content: bytes) -> ModelVersion:
        return self.models.add(MODEL, {"model.safetensors": NewFile("safetensors", content)})

    async def serve(self, selector: Selector, engine: EngineOptions) -> Deployment:
        options = Options(engine=engine, batching=Batching(max_batch_rows=64))
        return await self.deployments.create(NAME, MODEL, selector, options, TESTER)

    async def tuned(self, chosen: Mapping[str, object], result: str = "", state: State = State.SUCCEEDED) -> "Applying":
        engine = EngineOptions(architecture="mlp", inputs=X)
        plan = Plan(self.first.name, tuning=Tuning(), engine=engine)
        job = await self.conversions.create("p", plan, TESTER)
        claimed = await self.store.claim(60.0)
        assert claimed is not None
        candidate = dataclasses.replace(EVIDENCE.candidates[0], **chosen)  # type: ignore[arg-type]
        evidence = dataclasses.replace(EVIDENCE, candidates=(candidate,), chosen=candidate.name)
        assert await self.store.finish(job.uid, claimed.token, End(state, evidence, result))
        return Applying(self, (await self.store.get(job.name)).name)


class Applying:
    """A job that has ended, to be applied."""

    def __init__(self, place: Place, name: object) -> None:
        self._place = place
        self._name = name

    async def __call__(self) -> Options:
        await self._place.conversions.apply(self._name, NAME)  # type: ignore[arg-type]
        return (await self._place.deployments.get(NAME)).options


async def test_a_pinned_deployment_moves_to_what_was_made() -> None:
    """P-29: ONNX tells its inputs itself, so that nothing is said of them any more."""
    place = Place()
    await place.serve(Selector(SelectorKind.VERSION, "1"), EngineOptions(architecture="mlp", inputs=X, instances=2))
    applying = await place.tuned({"threads": 3}, str(place.second.name))
    options = await applying()
    assert options.engine == EngineOptions(threads=3, instances=2)
    assert options.batching.max_batch_rows == EVIDENCE.max_batch_size
    assert (await place.deployments.get(NAME)).selector == Selector(SelectorKind.VERSION, "2")


async def test_torchscript_is_told_what_goes_in() -> None:
    place = Place()
    await place.serve(Selector(SelectorKind.VERSION, "1"), EngineOptions(architecture="mlp", inputs=X))
    applying = await place.tuned({"format": "torchscript", "threads": 2}, str(place.second.name))
    assert (await applying()).engine == EngineOptions(threads=2, inputs=X, outputs=X)


async def test_where_the_source_was_the_best_only_threads_and_batches_change() -> None:
    place = Place()
    await place.serve(Selector(SelectorKind.VERSION, "1"), EngineOptions(architecture="mlp", inputs=X))
    applying = await place.tuned({"name": "baseline", "format": "safetensors", "threads": 1})
    assert (await applying()).engine == EngineOptions(architecture="mlp", inputs=X, threads=1)
    assert (await place.deployments.get(NAME)).selector == Selector(SelectorKind.VERSION, "1")


async def test_what_an_alias_stands_for_is_not_moved() -> None:
    """Threads that were measured for one version are not those of another."""
    place = Place()
    place.models.point(MODEL, LIVE, place.first)
    before = await place.serve(LIVE, EngineOptions(architecture="mlp", inputs=X))
    applying = await place.tuned({"threads": 2}, str(place.second.name))
    with pytest.raises(NothingChosen, match="serves version 1 by alias live; chosen was version 2"):
        await applying()
    assert await place.deployments.get(NAME) == before
    place.models.point(MODEL, LIVE, place.second)
    assert (await applying()).engine == EngineOptions(threads=2)
    assert (await place.deployments.get(NAME)).selector == LIVE


async def test_what_is_no_finished_tuning_of_this_model_is_not_applied() -> None:
    place = Place()
    await place.serve(Selector(SelectorKind.VERSION, "1"), EngineOptions(device="cuda"))
    failed = await place.tuned({}, state=State.FAILED)
    with pytest.raises(NothingChosen, match="it is failed"):
        await failed()
    with pytest.raises(NothingChosen, match="computes on a GPU"):
        await (await place.tuned({}))()
    other = DeploymentName("p", "other")
    another = ModelName("p", "other")
    place.models.add(another, {"model.onnx": NewFile("onnx", b"3")})
    await place.deployments.create(other, another, Selector(SelectorKind.VERSION, "1"), Options(), TESTER)
    tuned = await place.tuned({})
    with pytest.raises(NothingChosen, match="serves projects/p/models/other"):
        await place.conversions.apply(tuned._name, other)  # type: ignore[arg-type]
    conversion = await place.conversions.create("p", Plan(place.first.name, Conversion(Target.ONNX)), TESTER)
    with pytest.raises(NothingChosen, match="it is pending"):
        await place.conversions.apply(conversion.name, NAME)
