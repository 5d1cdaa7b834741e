"""The trace as a tree: from the parts that the services answer."""

import itertools

from headwater.artifact.v1 import artifact_pb2
from headwater.dataset.v1 import datasets_pb2
from headwater.inference.v1 import deployments_pb2
from headwater.registry.v1 import lineage_pb2
from headwater.trace import Node, Sources, assemble, tree

MODEL = "projects/default/models/digits/versions/2"
RUN = "projects/default/runs/train"
TENSORS = "projects/default/datasets/tensors/versions/v1.0.0"
PREP_RUN = "projects/default/runs/prep"
RAW = "projects/default/datasets/digits/versions/v1.0.0"
CODE = "projects/default/artifacts/aa"
PIPELINE = "projects/default/pipelines/prep/versions/1.0.0"


def lineage() -> lineage_pb2.Lineage:
    edges = [(RUN, MODEL), (TENSORS, RUN), (CODE, RUN), (PREP_RUN, TENSORS), (RAW, PREP_RUN), (PIPELINE, PREP_RUN)]
    artifact = artifact_pb2.ArtifactMetadata
    return lineage_pb2.Lineage(
        artifacts=[
            artifact(model_metadata=artifact_pb2.ModelMetadata(name=MODEL, digest="sha256:m", parameter_count=12345)),
            artifact(run=artifact_pb2.Run(name=RUN, state=artifact_pb2.Run.STATE_SUCCEEDED)),
            artifact(run=artifact_pb2.Run(name=PREP_RUN, state=artifact_pb2.Run.STATE_SUCCEEDED)),
            artifact(data_metadata=artifact_pb2.DataMetadata(name=TENSORS, digest="sha256:t", row_count=9)),
            artifact(data_metadata=artifact_pb2.DataMetadata(name=RAW, digest="sha256:r", row_count=9)),
            artifact(executable_metadata=artifact_pb2.ExecutableMetadata(name=CODE, digest="sha256:c")),
            artifact(executable_metadata=artifact_pb2.ExecutableMetadata(name=PIPELINE, digest="sha256:p")),
        ],
        connections=[artifact_pb2.ArtifactConnection(first_name=first, second_name=second) for first, second in edges],
    )


RECORD = deployments_pb2.InferenceRecord(name="projects/default/inferenceRecords/1", model_version=MODEL)
FILES = (datasets_pb2.SourceFile(path="train/7/1.png", digest="sha256:f", size_bytes=100),)


def names(node: Node) -> list[str]:
    return [node.name, *(name for origin in node.origins for name in names(origin))]


def test_the_tree_goes_from_the_request_to_the_files() -> None:
    root = assemble(RECORD, lineage(), {RAW: Sources(FILES, 1, "sha256:all")})
    assert names(root) == [RECORD.name, MODEL, RUN, CODE, TENSORS, PREP_RUN, RAW, "train/7/1.png", PIPELINE]


def test_what_many_ways_lead_to_is_expanded_where_it_is_nearest() -> None:
    """However long the other ways are: each version here was made of the one before, and a run read them all."""
    versions = [f"projects/default/datasets/digits/versions/v1.{number:04}.0" for number in range(2000)]
    edges = [*((version, RUN) for version in versions), *itertools.pairwise(reversed(versions)), (RUN, versions[-1])]
    graph = lineage_pb2.Lineage(
        connections=[artifact_pb2.ArtifactConnection(first_name=first, second_name=second) for first, second in edges]
    )
    root = tree(graph, RUN)
    assert [origin.name for origin in root.origins] == versions
    assert [[(each.name, each.details["shown"]) for each in origin.origins] for origin in root.origins[:2]] == [
        [(versions[1], "below")],
        [(versions[2], "below")],
    ]
    assert [(each.name, each.details["shown"]) for each in root.origins[-1].origins] == [(RUN, "above")]


def test_every_thing_that_is_content_carries_its_digest() -> None:
    def check(node: Node) -> None:
        assert node.digest or node.kind in ("run", "request")
        for origin in node.origins:
            check(origin)

    check(assemble(RECORD, lineage(), {RAW: Sources(FILES, 1, "sha256:all")}))


def test_files_that_are_not_listed_are_counted_with_the_digest_of_all() -> None:
    root = assemble(RECORD, lineage(), {RAW: Sources(FILES, 1797, "sha256:all")})
    rest = names(root)[names(root).index("train/7/1.png") + 1]
    assert rest == "… 1,796 more files"


def test_what_went_into_two_things_is_expanded_once() -> None:
    twice = lineage()
    twice.connections.add(first_name=RAW, second_name=RUN)
    root = assemble(RECORD, twice, {RAW: Sources(FILES, 1, "sha256:all")})
    assert names(root).count(RAW) == 2
    assert names(root).count("train/7/1.png") == 1


def test_a_node_that_the_walk_did_not_reach_is_shown_as_unknown() -> None:
    cut = lineage()
    del cut.artifacts[-1]
    root = assemble(RECORD, cut, {})
    assert PIPELINE in names(root)
