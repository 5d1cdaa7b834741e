"""From the data that a model's maker names to dataset versions that are known (K-03).

A link is made only where it leads somewhere; what leads nowhere is told.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from headwater.names import DatasetVersionName, InvalidName
from services.registry.lineage.model import NodeKind
from services.registry.lineage.store import LineageStore
from services.registry.values import Json
from services.registry.versions.errors import MetadataConflict

_VERSION_AT_END = re.compile(r"(.+)[-_](v[0-9]+(?:\.[0-9]+){0,2})", re.ASCII)
_NUMBERS = re.compile(r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Links:
    """Names of the nodes that are known, and what is not, as ``training_dataset: imagenet``."""

    nodes: Sequence[str]
    dangling: Sequence[str]

    @property
    def dataset_versions(self) -> frozenset[str]:
        """The versions; of a checkpoint, the one that it is of."""
        return frozenset(name.partition("/checkpoints/")[0] for name in self.nodes)


@dataclasses.dataclass(frozen=True, slots=True)
class _Claim:
    """What somebody said was trained on: under which key, in which words, and what that may name, likeliest first."""

    key: str
    text: str
    names: Sequence[str]


async def resolve(lineage: LineageStore, project: str, given: Sequence[str], metadata: Mapping[str, Json]) -> Links:
    """What leads somewhere of the resource names ``given`` and of what ``metadata`` names (see user_metadata).

    Raises:
        MetadataConflict: ``dataset_version`` says another version than the name of a dataset.
    """
    claims = [*(_Claim("dataset_versions", name, [name]) for name in given), *_claims(project, metadata)]
    wanted = {name for claim in claims for name in claim.names}
    known = {node.name for node in await lineage.find_nodes(wanted) if node.kind is NodeKind.DATA} if wanted else set()
    nodes, open_claims = dict[str, None](), []
    for claim in claims:
        found = next((name for name in claim.names if name in known), None)
        if found is None:
            open_claims.append(claim)
        else:
            nodes[found] = None
    linked = {f"dataset: {DatasetVersionName.parse(name.partition('/checkpoints/')[0]).dataset}" for name in nodes}
    dangling = dict.fromkeys(f"{claim.key}: {claim.text}" for claim in open_claims)
    return Links(list(nodes), [each for each in dangling if each not in linked])


def _claims(project: str, metadata: Mapping[str, Json]) -> Iterator[_Claim]:
    version = str(metadata.get("dataset_version", ""))
    keys = [key for key in ("training_dataset", "dataset") if key in metadata]
    for key in keys:
        text = str(metadata[key])
        shown = f"{text}@{version}" if version and "@" not in text and "/" not in text else text
        yield _Claim(key, shown, _names(project, key, text, version))
    if version and not keys:
        yield _Claim("dataset_version", version, _names(project, "dataset_version", version, ""))


def _names(project: str, key: str, text: str, version: str) -> list[str]:
    """The resource names that the words may mean."""
    if "/" in text:
        return _valid([text])
    dataset, at, said = text.partition("@")
    if at:
        if version and not set(_forms(said)) & set(_forms(version)):
            raise MetadataConflict(f"{key} is {text}, and dataset_version is {version}.", key="dataset_version")
        return _valid(_of(project, dataset, said))
    ending = _VERSION_AT_END.fullmatch(text)
    named = _of(project, text, version) if version else []
    if ending:
        named = [*named, *_of(project, ending[1], version or ending[2])]
    return _valid(named)


def _of(project: str, dataset: str, version: str) -> list[str]:
    return [f"projects/{project}/datasets/{dataset}/versions/{form}" for form in _forms(version)]


def _forms(version: str) -> list[str]:
    """``v1`` and ``1.0`` may both be written ``v1.0.0`` (K-02)."""
    match = _NUMBERS.fullmatch(version)
    full = [f"v{match[1]}.{match[2] or 0}.{match[3] or 0}"] if match else []
    return list(dict.fromkeys([*full, version]))


def _valid(names: Sequence[str]) -> list[str]:
    valid = []
    for name in names:
        try:
            valid.append(str(DatasetVersionName.parse(name)))
        except InvalidName:
            continue  # what cannot be a name names nothing
    return valid
