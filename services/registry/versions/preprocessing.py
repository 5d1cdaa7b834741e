"""The pipeline that prepares what a version is asked: recorded with it for good, so that serving runs exactly that."""

import dataclasses
from collections.abc import Sequence

from chassis.ids import new_id
from headwater.names import PipelineVersionName
from headwater.transforms import Pipeline, PipelineInvalid
from services.registry.lineage.model import Node, NodeKind
from services.registry.lineage.store import LineageStore
from services.registry.values import Json
from services.registry.versions.errors import MetadataConflict

ANNOTATION = "pipeline"
"""Under which the graph's node of a pipeline version has its canonical document, as preprocessing jobs tell it."""
MAX_DOCUMENT = 65_536


@dataclasses.dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a pipeline is: ``document`` in its canonical form, from which it can be run without the service that keeps
    it; ``digest`` of what it does; ``pipeline_version``, its resource name, empty where no service keeps it."""

    pipeline_version: str
    digest: str
    document: str

    @property
    def shown(self) -> str:
        """In one line."""
        return f"{self.pipeline_version or 'a document'} {self.digest}"


def stated(pipeline_version: str, document: str) -> Preprocessing:
    """What somebody says of it.

    Raises:
        InvalidName: of the pipeline version.
        PipelineInvalid: of the document, naming every fault.
        MetadataConflict: the document is of another pipeline version than the name.
    """
    pipeline = Pipeline.parse(document)
    if len(pipeline.document) > MAX_DOCUMENT:
        raise PipelineInvalid(f"The pipeline's document may have {MAX_DOCUMENT:,} characters.", field="preprocessing")
    if not pipeline_version:
        return Preprocessing("", pipeline.digest, pipeline.document)
    name = PipelineVersionName.parse(pipeline_version, "preprocessing.pipeline_version")
    version = name.version.removeprefix("v")
    if (name.pipeline, version) != (pipeline.definition.pipeline_id, pipeline.definition.version):
        raise MetadataConflict(f"{name} is given with the document of {pipeline.name}.", key="preprocessing")
    return Preprocessing(
        str(PipelineVersionName(name.project, name.pipeline, version)), pipeline.digest, pipeline.document
    )


async def of_data(lineage: LineageStore, pipelines: Sequence[str]) -> Preprocessing | None:
    """That of the pipeline version that prepared the data, where it was one and the graph has its document."""
    if len(pipelines) != 1:
        return None
    for node in await lineage.find_nodes(pipelines):
        annotations = node.details.get("annotations")
        document = annotations.get(ANNOTATION) if isinstance(annotations, dict) else None
        if isinstance(document, str):
            return _checked(node, document)
    return None


async def node_of(lineage: LineageStore, preprocessing: Preprocessing) -> Sequence[Node]:
    """The graph's node of its pipeline version, to be added where it is not there; none for a mere document.

    Raises:
        MetadataConflict: the graph knows another content of that version.
    """
    name = preprocessing.pipeline_version
    if not name:
        return []
    for known in await lineage.find_nodes([name]):
        if known.digest != preprocessing.digest:
            raise MetadataConflict(
                f"{name} is known as {known.digest}, not {preprocessing.digest}.", key="preprocessing"
            )
    details: dict[str, Json] = {"version": name.rpartition("/")[2], "annotations": {ANNOTATION: preprocessing.document}}
    return [Node(name, NodeKind.EXECUTABLE, new_id(), preprocessing.digest, details)]


def _checked(node: Node, document: str) -> Preprocessing | None:
    """Whoever told the graph of a node may have told anything: what is not the document of its digest is nothing."""
    try:
        found = stated(node.name, document)
    except (PipelineInvalid, MetadataConflict):
        return None
    return found if found.digest == node.digest else None
