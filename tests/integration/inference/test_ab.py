"""Several versions behind one name, as clients of a running service see them."""

import asyncio
import functools
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from headwater.errors import InvalidArgument
from headwater.inference.v1 import deployments_pb2, rollouts_pb2, rollouts_pb2_grpc, routing_pb2
from headwater.inference.v1.routing_pb2 import Fallback, Variant
from headwater.names import ModelName
from services.inference.models.memory import NewFile
from services.inference.models.source import Selector, SelectorKind
from tests.integration.inference.conftest import Running
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

MODEL = ModelName("default", "digits")
NAME = "projects/default/deployments/digits"


def point(running: Running, alias: str, version: Any) -> None:
    running.models.point(MODEL, Selector(SelectorKind.ALIAS, alias), version)


def add(running: Running, content: bytes, alias: str = "") -> Any:
    """A version of the model; ``alias`` points to it."""
    version = running.models.add(MODEL, {"model.onnx": NewFile("onnx", content)})
    if alias:
        point(running, alias, version)
    return version


async def route(running: Running, *variants: Variant, **routing: Any) -> deployments_pb2.Deployment:
    """Change the routing, and wait until every target of it is loaded."""
    change = deployments_pb2.Deployment(name=NAME, routing=routing_pb2.Routing(variants=variants, **routing))
    request = deployments_pb2.UpdateDeploymentRequest(deployment=change)
    request.update_mask.paths.append("routing")
    changed = await running.deployments.UpdateDeployment(request)
    wanted = {"main": "", **{each.name: each.version for each in variants}}
    for position, each in enumerate(routing.get("fallbacks", ()), 1):
        if not each.deployment:
            wanted[f"fallback-{position}"] = each.version

    async def loaded() -> bool:
        targets = {target.name: target.model_version for target in (await traffic(running)).targets}
        same = targets.keys() == wanted.keys() and all(targets.values())
        return same and all(targets[name].endswith(f"/{version}") for name, version in wanted.items() if version)

    await eventually(loaded)
    return changed


async def traffic(running: Running) -> rollouts_pb2.Traffic:
    stub = rollouts_pb2_grpc.TrafficServiceStub(running.admin)
    return await stub.GetTraffic(rollouts_pb2.GetTrafficRequest(name=NAME))


async def ask(running: Running, value: float = 1, *, version: str = "", key: str = "") -> Any:
    given = triton.InferInput("x", [1, 4], "FP32")
    given.set_data_from_numpy(np.full((1, 4), value, np.float32))
    parameters = {"headwater_routing_key": key} if key else None
    return await running.client.infer(
        "digits", [given], model_version=version, headers=running.headers, parameters=parameters
    )


def factor(answer: Any) -> float:
    return float(answer.as_numpy("y")[0, 0])


def told(answer: Any, name: str) -> str:
    return str(answer.get_response().parameters[f"headwater_{name}"].string_param)


async def serve(running: Running, *factors: float) -> None:
    """Versions 1, 2 and so on with these factors; the first is the main one."""
    await running.serve("digits", onnx_models.scaled(factors[0]))
    for each in factors[1:]:
        add(running, onnx_models.scaled(each))


async def test_requests_are_shared_out_and_the_answer_says_to_whom(running: Running) -> None:
    """R-23: a key always gets the same version; the record says which variant answered."""
    await serve(running, 3, 5)
    plain = await ask(running)
    assert "headwater_variant" not in plain.get_response().parameters
    await route(running, Variant(name="challenger", version="2", weight_percent=50))

    answers = [await ask(running, key=f"user-{number % 20}") for number in range(60)]
    variants = [told(answer, "variant") for answer in answers]
    assert variants[:20] * 3 == variants
    assert set(variants) == {"main", "challenger"}
    for answer, variant in zip(answers, variants, strict=True):
        assert factor(answer) == {"main": 3, "challenger": 5}[variant]
        assert answer.get_response().model_version == {"main": "1", "challenger": "2"}[variant]
    without_key = {told(await ask(running), "variant") for _ in range(40)}
    assert without_key == {"main", "challenger"}

    counts = {target.name: target.answered_count for target in (await traffic(running)).targets}
    assert sum(counts.values()) == 101
    assert counts["challenger"] >= variants.count("challenger")


async def test_requests_without_a_key_stay_with_their_caller_where_that_is_asked_for(running: Running) -> None:
    await serve(running, 3, 5)
    await route(running, Variant(name="challenger", version="2", weight_percent=50), sticky_by_caller=True)
    assert len({told(await ask(running), "variant") for _ in range(20)}) == 1
    assert len({told(await ask(running, key=f"k{number}"), "variant") for number in range(40)}) == 2


async def test_who_names_a_version_gets_it_whatever_it_is_loaded_for(running: Running) -> None:
    await serve(running, 3, 5, 7)
    await route(
        running,
        Variant(name="spare", version="2"),
        Variant(name="copy", version="3", role=Variant.ROLE_SHADOW),
    )
    assert [factor(await ask(running, version=version)) for version in ("1", "2", "3")] == [3, 5, 7]
    assert {factor(await ask(running)) for _ in range(20)} == {3}, "a variant without weight gets nothing else"
    with pytest.raises(InferenceServerException, match="This version is not served"):
        await ask(running, version="4")


async def test_swaps_of_versions_and_weights_under_load_lose_no_request(running: Running) -> None:
    """The issue's hot swap: main and variant change under 16 clients."""
    await running.serve("digits", onnx_models.scaled(1))
    add(running, onnx_models.scaled(2), "challenger")
    await route(running, Variant(name="challenger", alias="challenger", weight_percent=50))
    stopping = asyncio.Event()
    answered: list[float] = []

    async def client() -> None:
        while not stopping.is_set():
            answered.append(factor(await ask(running)))

    clients = [asyncio.create_task(client()) for _ in range(16)]
    for turn in range(3, 6):
        add(running, onnx_models.scaled(turn), "served")
        add(running, onnx_models.scaled(10 * turn), "challenger")
        await route(running, Variant(name="challenger", alias="challenger", weight_percent=turn * 10))
        await eventually(functools.partial({float(turn), 10.0 * turn}.issubset, answered))
    await route(running)
    stopping.set()
    await asyncio.gather(*clients)
    assert {float(turn) for turn in (1, 2, 3, 4, 5, 30, 40, 50)} <= set(answered)


async def test_what_a_version_fails_at_is_answered_by_the_fallbacks_in_their_order(running: Running) -> None:
    """N-10: the answer says who stood in and why; the failed attempt is recorded with it."""
    await running.serve("other", onnx_models.table_lookup(10))
    await running.serve("digits", onnx_models.table_lookup(2))
    add(running, onnx_models.table_lookup(4))
    fallbacks = [Fallback(version="2"), Fallback(deployment="other")]
    await route(running, fallbacks=fallbacks)

    async def look_up(index: int) -> Any:
        given = triton.InferInput("x", [1], "INT64")
        given.set_data_from_numpy(np.array([index]))
        return await running.client.infer("digits", [given], headers=running.headers)

    first, second, third = [await look_up(index) for index in (1, 3, 9)]
    assert [float(answer.as_numpy("y")[0]) for answer in (first, second, third)] == [101, 103, 109]
    assert "headwater_fallback" not in first.get_response().parameters
    assert (told(second, "variant"), told(second, "fallback")) == ("fallback-1", "ENGINE_FAILED")
    assert (told(third, "variant"), told(third, "fallback")) == ("deployment:other", "ENGINE_FAILED")
    assert third.get_response().model_name == "other"
    with pytest.raises(InferenceServerException, match="The model failed on this input"):
        await look_up(100)
    with pytest.raises(InferenceServerException, match="datatype must be INT64"):
        await ask(running)


async def test_a_variant_that_cannot_answer_is_stood_in_for_by_the_main_version(running: Running) -> None:
    await running.serve("digits", onnx_models.scaled(3))
    running.models.add(MODEL, {"model.onnx": NewFile("onnx", b"no model")})
    change = routing_pb2.Routing(variants=[Variant(name="broken", version="2", weight_percent=100)])
    request = deployments_pb2.UpdateDeploymentRequest(deployment=deployments_pb2.Deployment(name=NAME, routing=change))
    request.update_mask.paths.append("routing")
    await running.deployments.UpdateDeployment(request)

    async def failed() -> bool:
        shown = await running.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))
        return shown.failure.startswith("broken: ")

    await eventually(failed)
    answer = await ask(running)
    assert (factor(answer), told(answer, "variant"), told(answer, "fallback")) == (3, "main", "MODEL_NOT_READY")
    assert [bool(target.failure) for target in (await traffic(running)).targets] == [False, True]


async def test_a_variant_with_other_inputs_is_stood_in_for_and_shown_and_a_wrong_question_is_still_wrong(
    running: Running,
) -> None:
    await running.serve("digits", onnx_models.scaled(3))
    add(running, onnx_models.scaled(5, columns=6))
    await route(running, Variant(name="wide", version="2", weight_percent=100))
    answer = await ask(running)
    assert (factor(answer), told(answer, "variant"), told(answer, "fallback")) == (3, "main", "SIGNATURE_MISMATCH")
    (_, wide) = (await traffic(running)).targets
    assert wide.failure.startswith("Its inputs and outputs are not those of the main version")
    wrong = triton.InferInput("x", [1, 5], "FP32")
    wrong.set_data_from_numpy(np.ones((1, 5), np.float32))
    with pytest.raises(InferenceServerException, match="shape must be"):
        await running.client.infer("digits", [wrong], headers=running.headers)


def refused(*variants: Variant, **routing: Any) -> routing_pb2.Routing:
    return routing_pb2.Routing(variants=variants, **routing)


async def test_a_routing_that_makes_no_sense_is_refused(running: Running) -> None:
    cases = [
        (
            refused(
                Variant(name="a", version="1", weight_percent=60), Variant(name="b", version="1", weight_percent=50)
            ),
            "may have 100 percent together; they have 110",
        ),
        (refused(Variant(name="a", version="1"), Variant(name="a", version="2")), "Two variants have the name a"),
        (refused(Variant(name="main", version="1")), "main is the name of something else"),
        (refused(Variant(name="canary", version="1")), "canary is the name of something else"),
        (refused(Variant(name="a")), "One of stage, alias and version must be given"),
        (refused(Variant(name="../a", version="1")), "must be 1 to 255 letters"),
        (refused(Variant(name="a", version="1", weight_percent=float("nan"))), "weight_percent"),
        (refused(Variant(name="a", version="1", weight_percent=-1)), "weight_percent"),
        (refused(fallbacks=[Fallback()]), "One of stage, alias and version must be given"),
        (refused(fallbacks=[Fallback(deployment="a/b")]), "must be 1 to 255 letters"),
        (refused(tolerance=float("inf")), "tolerance"),
    ]
    for routing, told_of in cases:
        deployment = deployments_pb2.Deployment(model=str(MODEL), alias="served", routing=routing)
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id="digits", deployment=deployment
        )
        with pytest.raises(InvalidArgument, match=told_of):
            await running.deployments.CreateDeployment(request)


async def test_every_version_that_can_be_asked_is_told(running: Running) -> None:
    await serve(running, 3, 5)
    await route(running, Variant(name="challenger", version="2", weight_percent=50))
    client, headers = running.client, running.headers

    assert list((await client.get_model_metadata("digits", headers=headers)).versions) == ["1", "2"]
    index = (await client.get_model_repository_index(headers=headers)).models
    assert [(each.name, each.version, each.state) for each in index] == [
        ("digits", "1", "READY"),
        ("digits", "2", "READY"),
    ]
    assert factor(await ask(running, version="2")) == 5
    both = (await client.get_inference_statistics("digits", headers=headers)).model_stats
    assert [(each.version, each.inference_stats.success.count) for each in both] == [("1", 0), ("2", 1)]
    (second,) = (await client.get_inference_statistics("digits", "2", headers=headers)).model_stats
    assert second.version == "2"
