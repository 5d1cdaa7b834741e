"""The sections of a model package for each stage of a model's life: train, serve, score, convert (M-68…M-70, M-76)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headwater.packaging.fields import known, listed, mapped
from headwater.packaging.general import Image, Local, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialModel:
    """The code or the model that a stage begins with."""

    initial_model: Stored | None = None
    initial_model_local: Local | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResults:
    """Where the trained model goes."""

    trained_model: Stored | None = None
    trained_model_local: Local | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What is trained on."""

    training_data: Stored | None = None
    training_data_url: str = known()
    training_data_local: Local | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationMetrics:
    """Which metrics the training writes, and where."""

    type: str = known(required=True)
    in_: str = known(key="in", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeConfiguration:
    """What the training runs on."""

    name: str = known()
    nodes: int = known(1, least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What is run, and on what."""

    command: str = known()
    compute_configuration: ComputeConfiguration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """How the model is trained (M-68)."""

    trainable: bool = known(False)
    tested_platforms: tuple[str, ...] = listed(usual=("wml", "ffdl", "kubeflow", "headwater"))
    model_source: InitialModel | None = None
    model_training_results: TrainingResults | None = None
    data_source: TrainingData | None = None
    mount_type: str = known()
    evaluation_metrics: EvaluationMetrics | None = None
    training_container_image: Image | None = None
    execution: Execution | None = None
    training_params: Mapping[str, Any] = mapped(pairs=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServableModel:
    """The model that is served."""

    servable_model: Stored | None = None
    servable_model_local: Local | None = None
    scorable_model_local: Local | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """How the model is served (M-69)."""

    servable: bool = known(False)
    tested_platforms: tuple[str, ...] = listed(
        usual=("kubernetes", "knative", "seldon", "wml", "kfserving", "headwater")
    )
    model_source: ServableModel | None = None
    serving_container_image: Image | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorableModel:
    """Where the files lie that say what the model takes and gives."""

    data_store: str = known(refers=True)
    bucket: str = known()
    data_store_file_paths: str = known(refers=True)
    url: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorableModelLocal:
    """The same on the user's own machine."""

    path: str = known()
    data_store_file_paths: str = known(refers=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesSchemaSource:
    """What the model takes and gives."""

    scorable_model: ScorableModel | None = None
    scorable_model_local: ScorableModelLocal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How the model is scored (M-70)."""

    scorable: bool = known(False)
    model_features_schema_source: FeaturesSchemaSource | None = None
    metrics: Mapping[str, Any] = mapped()
    params: Mapping[str, Any] = mapped()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """Where the converted model goes."""

    onnx_model: Stored | None = None
    onnx_model_local: Local | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convert:
    """How the model becomes an ONNX model (M-76)."""

    onnx_convertible: bool = known(False)
    model_source: InitialModel | None = None
    onnx_converted_model: OnnxModel | None = None
    tf_inputs: Mapping[str, tuple[int, ...]] = mapped(least=-1)
    tf_outputs: tuple[str, ...] = listed()
    tf_rtol: float | None = known(None, least=0)
    tf_atol: float | None = known(None, least=0)
