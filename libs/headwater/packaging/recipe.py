"""The training recipe: MLSpec's metadata.yaml, six sections that are enough to train the same again (M-82)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from headwater.packaging.fields import known, mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFramework:
    """What the job runs with."""

    PAIRS: ClassVar = True

    name: str = known(required=True)
    version: str = known()
    runtime: str = known()
    requirement: Mapping[str, str] = mapped(pairs=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeModel:
    """The code of the model."""

    PAIRS: ClassVar = True

    name: str = known(required=True)
    version: str = known()
    source: str = known()
    creator: str = known()
    time: str = known()
    type: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeDataset:
    """What the model is trained on."""

    PAIRS: ClassVar = True

    name: str = known(required=True)
    version: str = known()
    source: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProcess:
    """What happens to the data before it is trained on: what every kind of data has, and what its ``type`` adds.

    ``headwater.packaging.plugins`` says what each type adds.
    """

    PAIRS: ClassVar = True

    data_load: Any = None
    data_split: Any = None
    padding: Any = None
    truncating: Any = None
    type: str = known(choices=("Image", "NLP", "voice"))
    options: Mapping[str, Any] = mapped(rest=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """A job as a whole."""

    TITLE: ClassVar = "training recipe"
    MOVES: ClassVar = ()
    SECTIONS_IN_PAIRS: ClassVar = True

    framework: RecipeFramework | None = known(None, required=True)
    model: RecipeModel | None = known(None, required=True)
    dataset: RecipeDataset | None = known(None, required=True)
    data_process: DataProcess | None = None
    model_architecture: Mapping[str, Any] = mapped(pairs=True)
    training_params: Mapping[str, Any] = mapped(pairs=True)
