"""Entering at training fills the serving section (M-77)."""

import dataclasses

from headwater.packaging.general import HEADWATER, DataStore, Stored
from headwater.packaging.model import ModelPackage
from headwater.packaging.stages import ServableModel, Serve


def filled_serving(package: ModelPackage, trained: Stored | None = None) -> ModelPackage:
    """The package, servable from where its training puts the model, or from ``trained``.

    What its serving section says already stays as it is. A package that trains nothing is returned as it is, unless
    ``trained`` is given.
    """
    results = package.train.model_training_results if package.train else None
    stored = trained or (results.trained_model if results else None)
    local = results.trained_model_local if results else None
    if not stored and not local:
        return package
    serve = package.serve or Serve()
    source = serve.model_source or ServableModel()
    if not source.servable_model:
        source = dataclasses.replace(source, servable_model=stored)
    if not source.servable_model_local and not trained:
        source = dataclasses.replace(source, servable_model_local=local)
    return dataclasses.replace(package, serve=dataclasses.replace(serve, servable=True, model_source=source))


def served_from_headwater(package: ModelPackage, version: str) -> ModelPackage:
    """The package, servable as the registered version ``digits@3``; with a data store for it, if it has none."""
    store = next((store.name for store in package.data_stores if store.type == HEADWATER), "")
    if not store:
        taken = {store.name for store in package.data_stores}
        store = HEADWATER if HEADWATER not in taken else f"{HEADWATER}-{len(taken)}"
        stores = (*package.data_stores, DataStore(name=store, type=HEADWATER))
        package = dataclasses.replace(package, data_stores=stores)
    return filled_serving(package, Stored(data_store=store, path=version))
