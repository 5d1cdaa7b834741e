"""What should be said of a version and is not (R-26)."""

from collections.abc import Callable, Mapping, Sequence

from services.registry.versions.model import ModelVersion

_SAID: Mapping[str, Callable[[ModelVersion], object]] = {
    "framework": lambda version: version.framework_name,
    "architecture": lambda version: version.architecture,
    # Said is said, also where nobody knows that version: then it is among the dangling links.
    "dataset_version": lambda version: version.dataset_versions or "dataset_version" in version.user_metadata,
    "hyperparameters": lambda version: version.hyperparameters,
    # A run tells when and by whom a model was trained.
    "training_date": lambda version: version.run or "training_date" in version.user_metadata,
    "author": lambda version: version.run or "author" in version.user_metadata,
    "metrics": lambda version: version.metrics or "accuracy" in version.user_metadata,
    "task": lambda version: version.task,
}


def missing_metadata(version: ModelVersion) -> Sequence[str]:
    """The keys of what is missing, in one order; empty when everything is said."""
    return [key for key, said in _SAID.items() if not said(version)]
