"""Model packages: the YAML documents of MLSpec about models, read whole, checked, and written canonically.

    from headwater import packaging

    reading = packaging.read_file(Path("model.yaml"))
    reading.document.train.data_source.training_data.bucket
    packaging.write(reading.document)

Four kinds of documents are told apart by what is in them: model packages (whole, or only the part that trains, serves,
scores or converts), model descriptions, training recipes of six sections, and records of experiments.
docs/reference/model-package.md has every field.
"""

from headwater.packaging.description import ModelDescription
from headwater.packaging.documents import Document, Reading, read, read_file, write
from headwater.packaging.experiment import ExperimentRecord
from headwater.packaging.model import ModelPackage
from headwater.packaging.recipe import TrainingRecipe
from headwater.packaging.remarks import InvalidPackage, Place, Remark
from headwater.packaging.values import Secret, slug

__all__ = [
    "Document",
    "ExperimentRecord",
    "InvalidPackage",
    "ModelDescription",
    "ModelPackage",
    "Place",
    "Reading",
    "Remark",
    "Secret",
    "TrainingRecipe",
    "read",
    "read_file",
    "slug",
    "write",
]
