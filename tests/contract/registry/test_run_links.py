"""What runs read and made, over every store."""

import dataclasses

import pytest

from headwater.names import RunName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, Direction
from services.registry.logged_models.errors import LoggedModelNotFound
from services.registry.origin import Origin
from services.registry.run_links.errors import DataInputConflict, TooManyLinks
from services.registry.run_links.model import DataInput, ModelLink, RunLinks
from services.registry.run_links.run_links import LinksOfRuns
from services.registry.runs.errors import RunNotFound
from services.registry.runs.model import Run
from services.registry.runs.runs import Runs
from services.registry.runs.wanted import Wanted
from services.registry.versions.errors import ModelVersionNotFound
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, a_run, dataset_node, safetensors, upload, version_of

SOMEWHERE = DataInput("digits", "1a2b", "s3", "s3://lake/digits.csv", "{}", "{}", {"context": "training"}, "")
NOBODY = "projects/default/loggedModels/01900000-0000-7000-8000-000000000001"


async def _run(runs: Runs, me: Origin) -> Run:
    return await runs.create(DEFAULT, a_run(), me)


async def test_what_a_run_read_is_kept_once_and_takes_new_tags(runs: Runs, run_links: LinksOfRuns, me: Origin) -> None:
    run = await _run(runs, me)
    other = dataclasses.replace(SOMEWHERE, digest="3c4d")
    for _ in range(2):
        _, links = await run_links.log(run.name, data_inputs=[SOMEWHERE, other], origin=me)
        assert list(links.data_inputs) == [SOMEWHERE, other]
    tagged = dataclasses.replace(SOMEWHERE, tags={"seen": "twice"})
    _, links = await run_links.log(run.name, data_inputs=[tagged], origin=me)
    assert links.data_inputs[0].tags == {"context": "training", "seen": "twice"}


async def test_an_input_that_is_described_otherwise_is_refused(runs: Runs, run_links: LinksOfRuns, me: Origin) -> None:
    run = await _run(runs, me)
    await run_links.log(run.name, data_inputs=[SOMEWHERE], origin=me)
    for otherwise in (dataclasses.replace(SOMEWHERE, source="s3://other"), dataclasses.replace(SOMEWHERE, schema="[]")):
        with pytest.raises(DataInputConflict):
            await run_links.log(run.name, data_inputs=[otherwise], origin=me)


async def test_inputs_of_one_call_are_held_to_each_other(runs: Runs, run_links: LinksOfRuns, me: Origin) -> None:
    run = await _run(runs, me)
    otherwise = dataclasses.replace(SOMEWHERE, source="s3://other")
    with pytest.raises(DataInputConflict):
        await run_links.log(run.name, data_inputs=[SOMEWHERE, otherwise], origin=me)
    tagged = dataclasses.replace(SOMEWHERE, tags={"seen": "twice"})
    _, links = await run_links.log(run.name, data_inputs=[SOMEWHERE, tagged], origin=me)
    assert [data.tags for data in links.data_inputs] == [{"context": "training", "seen": "twice"}]


async def test_lists_tell_in_brief_what_runs_read_where_it_is_asked_for(
    runs: Runs, run_links: LinksOfRuns, me: Origin
) -> None:
    """R-28: MLflow's search_runs tells the inputs of each run."""
    read, nothing = [await _run(runs, me) for _ in range(2)]
    await run_links.log(read.name, data_inputs=[SOMEWHERE], origin=me)
    page = await runs.page(DEFAULT, Wanted(links=True), 10, "")
    brief = dataclasses.replace(SOMEWHERE, source="", schema="", profile="")
    assert [(run.id, list(run.links.data_inputs)) for run in page.items] == [(nothing.id, []), (read.id, [brief])]
    assert [run.links for run in (await runs.page(DEFAULT, Wanted(), 10, "")).items] == [RunLinks(), RunLinks()]


async def test_dataset_versions_and_model_versions_are_joined_in_lineage(
    runs: Runs, run_links: LinksOfRuns, lineages: Lineages, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """R-24: what was told of a run is upstream of what it made."""
    run = await _run(runs, me)
    data = dataset_node("v1.0.0")
    await lineages.connect(DEFAULT, Connections([data], []), me)
    model = await versions.create(DIGITS, version_of({"a": await upload(artifacts, safetensors(a=(1,)), me)}), me)
    read = dataclasses.replace(SOMEWHERE, dataset_version=data.name)
    unknown = dataclasses.replace(SOMEWHERE, name="x", dataset_version="projects/default/datasets/x/versions/v1.0.0")
    await run_links.log(run.name, data_inputs=[read, unknown], origin=me)
    _, links = await run_links.log(run.name, model_outputs=[ModelLink(str(model.name), 7)], origin=me)
    assert links.model_outputs[0].step == 7
    upstream = await lineages.get(str(model.name), Direction.UPSTREAM, 0)
    assert {str(node.name) for node in upstream.nodes} == {str(model.name), str(run.name), data.name}


async def test_what_is_not_there_is_said(runs: Runs, run_links: LinksOfRuns, me: Origin) -> None:
    run = await _run(runs, me)
    with pytest.raises(RunNotFound):
        await run_links.log(RunName("default", "nobody"), data_inputs=[SOMEWHERE], origin=me)
    with pytest.raises(LoggedModelNotFound):
        await run_links.log(run.name, model_inputs=[ModelLink(NOBODY, 0)], origin=me)
    with pytest.raises(ModelVersionNotFound):
        await run_links.log(run.name, model_outputs=[ModelLink(f"{DIGITS}/versions/9", 0)], origin=me)


async def test_the_number_of_inputs_is_bounded(runs: Runs, run_links: LinksOfRuns, me: Origin) -> None:
    """Promise 8."""
    run = await _run(runs, me)
    many = [dataclasses.replace(SOMEWHERE, digest=str(number)) for number in range(1001)]
    with pytest.raises(TooManyLinks):
        await run_links.log(run.name, data_inputs=many, origin=me)
    profiled = dataclasses.replace(SOMEWHERE, profile="é" * 2**23)
    await run_links.log(run.name, data_inputs=[profiled], origin=me)
    with pytest.raises(TooManyLinks):
        await run_links.log(run.name, data_inputs=[dataclasses.replace(profiled, digest="2")], origin=me)
    _, links = await run_links.log(run.name, origin=me)
    assert list(links.data_inputs) == [profiled]
