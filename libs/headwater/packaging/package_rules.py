"""What must hold within a model package beyond each field's own rule (M-78).

"Required for trainable, servable, scorable, s3 type, url type, container type": each rule says why it asks.
"""

from collections.abc import Sequence
from typing import Final

from headwater.packaging.general import HEADWATER, S3, DataStore, Image, Stored
from headwater.packaging.model import ModelPackage
from headwater.packaging.reader import Reader
from headwater.packaging.remarks import nearest
from headwater.packaging.stages import Execution, InitialModel, ScorableModel

_TRAINABLE: Final = "is required: the model is trainable"
_SERVABLE: Final = "is required: the model is servable"
_SCORABLE: Final = "is required: the model is scorable"
_CONVERTIBLE: Final = "is required: the model is convertible to ONNX"
_BUCKET: Final = "is required: it lies in a bucket (s3 type)"


class PackageRules:
    """Notes every rule that a package breaks."""

    def __init__(self, package: ModelPackage, reader: Reader) -> None:
        self._package = package
        self._reader = reader
        self._stores = {store.name: store for store in package.data_stores}

    def check(self) -> None:
        """All rules."""
        if not self._package.is_part:
            self._need("name", self._package.name, "is required")
            self._need("framework", self._package.framework, "is required")
        self._stores_and_references()
        self._train()
        self._serve()
        self._score()
        self._convert()

    def _need(self, path: str, value: object, why: str) -> bool:
        if value:
            return True
        # A field that was read badly, or a section in which one was, has been spoken of already.
        if not any(remark.path == path or remark.path.startswith(f"{path}.") for remark in self._reader.errors):
            self._reader.error(path, why, nearest(self._reader.places, path))
        return False

    def _stores_and_references(self) -> None:
        package = self._package
        for at, store in enumerate(package.data_stores):
            self._data_store(store, f"data_stores[{at}]")
        for at, images in enumerate(package.container_stores):
            self._need(f"container_stores[{at}].connection", images.connection, "is required")
        lists = {
            "data_stores": [store.name for store in package.data_stores],
            "data_store_file_paths": [paths.name for paths in package.data_store_file_paths],
            "container_stores": [store.name for store in package.container_stores],
        }
        for name, names in lists.items():
            for at, each in enumerate(names):
                if each in names[:at]:
                    path = f"{name}[{at}].name"
                    self._reader.error(path, f"is {each}, which is there twice", nearest(self._reader.places, path))

    def _data_store(self, store: DataStore, path: str) -> None:
        if (store.type or S3) != S3:
            return
        why = "is required for a data store of s3 type"
        if self._need(f"{path}.connection", store.connection, why) and store.connection is not None:
            self._need(f"{path}.connection.endpoint", store.connection.endpoint, why)
            self._need(f"{path}.connection.access_key_id", store.connection.access_key_id, why)
            self._need(f"{path}.connection.secret_access_key", store.connection.secret_access_key, why)

    def _refer(self, path: str, name: str, to: str, names: Sequence[str]) -> None:
        if name and name not in names:
            self._reader.warn(path, f"is {name}, and {to} has none of that name", nearest(self._reader.places, path))

    def _stored(self, stored: Stored | None, path: str, url_alone: bool = False) -> None:
        """Data store, bucket and path; of this Headwater no bucket; where a URL may stand alone, all or a URL."""
        if stored is None:
            return
        if url_alone and stored.url and not (stored.data_store or stored.bucket or stored.path):
            return
        self._need(f"{path}.data_store", stored.data_store, _BUCKET if not url_alone else f"{_BUCKET}, or a url is")
        self._refer(f"{path}.data_store", stored.data_store, "data_stores", list(self._stores))
        if self._is_headwater(stored.data_store):
            return
        self._need(f"{path}.bucket", stored.bucket, _BUCKET)
        self._need(f"{path}.path", stored.path, _BUCKET)

    def _is_headwater(self, store: str) -> bool:
        return store in self._stores and self._stores[store].type == HEADWATER

    def _image(self, image: Image | None, path: str) -> None:
        if image is not None:
            why = "is required: it is served by a container (container type)" if path.startswith("serve") else ""
            self._need(f"{path}.container_image_url", image.container_image_url, why or "is required for an image")
            names = [store.name for store in self._package.container_stores]
            self._refer(f"{path}.container_store", image.container_store, "container_stores", names)

    def _train(self) -> None:
        train = self._package.train
        if train is None:
            return
        if train.trainable:
            self._author_and_runtime()
            self._trainable()
        if train.model_source:
            self._stored(train.model_source.initial_model, "train.model_source.initial_model")
        if train.model_training_results:
            self._stored(train.model_training_results.trained_model, "train.model_training_results.trained_model")
        if train.data_source:
            self._stored(train.data_source.training_data, "train.data_source.training_data")
        self._image(train.training_container_image, "train.training_container_image")
        if train.execution:
            self._execution(train.execution, _TRAINABLE if train.trainable else "is required")

    def _author_and_runtime(self) -> None:
        package = self._package
        if package.is_part:
            return  # They are in the part that has the name.
        if self._need("author", package.author, _TRAINABLE) and package.author:
            self._need("author.name", package.author.name, _TRAINABLE)
            self._need("author.email", package.author.email, _TRAINABLE)
        if package.framework is None:
            return
        runtimes = package.framework.runtimes
        if self._need("framework.runtimes", runtimes, _TRAINABLE) and runtimes:
            self._need("framework.runtimes.name", runtimes.name, _TRAINABLE)
            self._need("framework.runtimes.version", runtimes.version, _TRAINABLE)

    def _trainable(self) -> None:
        train = self._package.train
        assert train is not None
        if self._need("train.model_source", train.model_source, _TRAINABLE) and train.model_source:
            self._need("train.model_source.initial_model", train.model_source.initial_model, _TRAINABLE)
        results, data = train.model_training_results, train.data_source
        if self._need("train.model_training_results", results, _TRAINABLE) and results:
            self._need("train.model_training_results.trained_model", results.trained_model, _TRAINABLE)
        if self._need("train.data_source", data, _TRAINABLE) and data:
            self._need("train.data_source.training_data", data.training_data, _TRAINABLE)
        self._need("train.execution", train.execution, _TRAINABLE)
        self._need("data_stores", self._package.data_stores, _TRAINABLE)

    def _execution(self, execution: Execution, why: str) -> None:
        self._need("train.execution.command", execution.command, why)
        compute = execution.compute_configuration
        # One node is what there is without a word, and a section that says no more is not told from none.
        path = "train.execution.compute_configuration"
        named = f"{path}.name" if compute or path in self._reader.places else path
        self._need(named, compute and compute.name, why)

    def _serve(self) -> None:
        serve = self._package.serve
        if serve is None:
            return
        source = serve.model_source
        if serve.servable and self._need("serve.model_source", source, _SERVABLE) and source:
            somewhere = source.servable_model or source.servable_model_local or serve.serving_container_image
            why = f"{_SERVABLE}, from a data store (s3 type), a url, a local path or a container"
            self._need("serve.model_source.servable_model", somewhere, why)
        if source:
            self._stored(source.servable_model, "serve.model_source.servable_model", url_alone=True)
        self._image(serve.serving_container_image, "serve.serving_container_image")

    def _score(self) -> None:
        score = self._package.score
        if score is None:
            return
        source = score.model_features_schema_source
        path = "score.model_features_schema_source"
        if score.scorable and self._need(path, source, _SCORABLE) and source:
            somewhere = source.scorable_model or source.scorable_model_local
            why = f"{_SCORABLE}, from a data store (s3 type), a url or a local path"
            self._need(f"{path}.scorable_model", somewhere, why)
        if source and source.scorable_model:
            self._scorable(source.scorable_model, f"{path}.scorable_model")
        if source and source.scorable_model_local:
            self._file_paths(source.scorable_model_local.data_store_file_paths, f"{path}.scorable_model_local")

    def _scorable(self, scorable: ScorableModel, path: str) -> None:
        if scorable.url and not (scorable.data_store or scorable.bucket or scorable.data_store_file_paths):
            return
        self._need(f"{path}.data_store", scorable.data_store, f"{_BUCKET}, or a url is")
        self._refer(f"{path}.data_store", scorable.data_store, "data_stores", list(self._stores))
        self._need(f"{path}.data_store_file_paths", scorable.data_store_file_paths, _BUCKET)
        self._file_paths(scorable.data_store_file_paths, path)
        if not self._is_headwater(scorable.data_store):
            self._need(f"{path}.bucket", scorable.bucket, _BUCKET)

    def _file_paths(self, name: str, path: str) -> None:
        names = [paths.name for paths in self._package.data_store_file_paths]
        self._refer(f"{path}.data_store_file_paths", name, "data_store_file_paths", names)

    def _convert(self) -> None:
        package, convert = self._package, self._package.convert
        if convert is None:
            return
        if convert.onnx_convertible:
            self._convertible()
        self._initial(convert.model_source, "convert.model_source")
        if convert.onnx_converted_model:
            self._stored(convert.onnx_converted_model.onnx_model, "convert.onnx_converted_model.onnx_model")
        if convert.onnx_convertible and package.framework and package.framework.name.lower() == "tensorflow":
            why = "is required to convert a TensorFlow model"
            self._need("convert.tf_inputs", convert.tf_inputs, why)
            self._need("convert.tf_outputs", convert.tf_outputs, why)

    def _convertible(self) -> None:
        package, convert = self._package, self._package.convert
        assert convert is not None
        if self._need("convert.model_source", convert.model_source, _CONVERTIBLE) and convert.model_source:
            source = convert.model_source.initial_model or convert.model_source.initial_model_local
            self._need("convert.model_source.initial_model", source, f"{_CONVERTIBLE}, or initial_model_local is")
        others = [stage for stage in (package.train, package.serve) if stage]
        usable = (package.train and package.train.trainable) or (package.serve and package.serve.servable)
        if others and not usable:
            path = "convert.onnx_convertible"
            message = "is true, and the model is neither trainable nor servable"
            self._reader.error(path, message, nearest(self._reader.places, path))

    def _initial(self, source: InitialModel | None, path: str) -> None:
        if source:
            self._stored(source.initial_model, f"{path}.initial_model")
