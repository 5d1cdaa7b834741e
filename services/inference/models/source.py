"""What the inference service needs to know of model versions, in its own words."""

import dataclasses
import enum
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from headwater import parity
from headwater.errors import FailedPrecondition, NotFound, Unavailable
from headwater.names import ModelName, ModelVersionName
from services.inference.tensors.model import Signature


class NoSuchVersion(NotFound):
    """No version of the model is in this stage, under this alias or of this number."""

    reason = "NO_SUCH_VERSION"
    text = "No version of the model is there."


class SourceAway(Unavailable):
    """The source of models does not answer; what is loaded goes on answering."""

    reason = "MODELS_UNAVAILABLE"
    text = "The models cannot be reached; what is loaded goes on answering."


class NothingToServe(FailedPrecondition):
    """The version has no file that an engine of this service loads, or several and none is named as the one."""

    reason = "NOTHING_TO_SERVE"


class UnsafeModel(FailedPrecondition):
    """Loading the version's files could run code that they bring; the registry found what the text says."""

    reason = "UNSAFE_MODEL"


class VersionArchived(FailedPrecondition):
    """The version was taken out of use: what serves it goes on, nothing else begins to."""

    reason = "MODEL_VERSION_ARCHIVED"


_WEIGHTS = frozenset({"safetensors", "pytorch"})


class SelectorKind(enum.Enum):
    """By what a version is chosen. The values are what the database keeps."""

    STAGE = "stage"
    ALIAS = "alias"
    VERSION = "version"


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """Which version of a model: the holder of a stage (``staging``, ``production``), of an alias, or of a number."""

    kind: SelectorKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.value}"


def missing(model: ModelName, selector: Selector) -> str:
    """What to say where ``selector`` stands for no version; ``model`` by the name that people know."""
    if selector.kind is SelectorKind.VERSION:
        return f"There is no version {selector.value} of {model}."
    return f"No version of {model} has the {selector}."


@dataclasses.dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a version. ``format`` is as the registry recognised it: ``onnx``, ``safetensors`` or empty."""

    path: str
    digest: str
    size_bytes: int
    format: str


@dataclasses.dataclass(frozen=True, slots=True)
class Preprocessing:
    """The pipeline of a version: its canonical document, and the digest of what it does. ``pipeline_version`` is the
    resource name; empty where no service keeps it."""

    pipeline_version: str
    digest: str
    document: str


@dataclasses.dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable version.

    Attributes:
        primary: the digest of the file that the registry names as the one to use.
        problems: what makes its files unsafe to load, as the registry found.
        archived: whether it was taken out of use.
        warning: what its users should know: that it is deprecated, and what to use instead.
        model_uid: of its model; a rename does not change it. Empty where the source tells none.
        preprocessing: the pipeline that was recorded with it.
        signature: what goes in and comes out, as registered; an element type that is not known is empty. None where
            nothing is known of it.
        dataset_versions: the resource names of what it was trained on.
    """

    name: ModelVersionName
    digest: str
    files: tuple[ModelFile, ...]
    primary: str = ""
    problems: tuple[str, ...] = ()
    archived: bool = False
    warning: str = ""
    model_uid: str = ""
    preprocessing: Preprocessing | None = None
    signature: Signature | None = None
    dataset_versions: tuple[str, ...] = ()

    def is_same(self, other: "ModelVersion") -> bool:
        """Whether it is this version, perhaps under another name of its model."""
        return (self._model, self.name.version) == (other._model, other.name.version)

    @property
    def content(self) -> str:
        """What decides its answers: its files, and what prepares what it is asked."""
        return f"{self.digest} {self.preprocessing.digest}" if self.preprocessing else self.digest

    @property
    def parity_record(self) -> ModelFile | None:
        """Its parity record, a file beside the model's; None where it has none."""
        return next((file for file in self.files if file.path == parity.PATH), None)

    @property
    def _model(self) -> str:
        return self.model_uid or self.name.model

    def check_usable(self) -> None:
        """Go on if something may begin to serve it.

        Raises:
            UnsafeModel, VersionArchived
        """
        if self.problems:
            raise UnsafeModel(
                f"{self.name} is not safe to load: {'; '.join(self.problems[:3])}.", model_version=self.name
            )
        if self.archived:
            raise VersionArchived(f"{self.name} is archived: reactivate it first.", model_version=self.name)

    def servable_file(self, formats: Sequence[str], *, to_be: str = "served") -> ModelFile:
        """The file to load: of the primary file's format if that is one of ``formats``, else of the first there is.

        ``formats`` are in the order of preference; none means that any will do. ``to_be`` is what
        becomes of the file, for the error.

        Raises:
            NothingToServe: no file is of one of ``formats``, or it is not clear which.
        """
        candidates = [file for file in self.files if file != self.parity_record]
        if formats:
            preferred = (file.format for file in self.files if file.digest == self.primary)
            wanted = [*(each for each in preferred if each in formats), *formats]
            candidates = next(filter(None, ([f for f in candidates if f.format == each] for each in wanted)), [])
        chosen = [file for file in candidates if file.digest == self.primary] or candidates
        if len(chosen) == 1:
            return chosen[0]
        kinds = f" of a format that can be {to_be} here ({', '.join(formats)})" if formats else ""
        found = ", ".join(f"{file.path} ({file.format or 'unknown'})" for file in self.files[:5])
        weights = formats and not {*formats} & _WEIGHTS and any(file.format in _WEIGHTS for file in self.files)
        hint = f" Weights alone are {to_be} through engine.architecture." if weights else ""
        raise NothingToServe(f"The version must have one file{kinds}; it has {found or 'none'}.{hint}")


class ModelSource(Protocol):
    """Where versions come from: the registry, or its twin in memory."""

    async def resolve(self, model: ModelName, selector: Selector) -> ModelVersion:
        """The version that ``selector`` stands for now. The last segment of ``model`` is a name or a uid.

        Raises:
            NoSuchVersion: there is none.
            Unavailable: the source cannot be asked.
        """

    def download(self, model: ModelName, digest: str) -> AsyncIterator[bytes]:
        """The bytes of one file, in order. What comes is for the receiver to verify.

        Raises:
            NotFound: there are no such bytes.
            Unavailable: the source cannot be asked.
        """

    async def check(self) -> None:
        """Return when the source can be asked; raise Unavailable when it cannot."""
