"""Entering at training fills the serving section (M-77)."""

import pytest
import yaml

from headwater import packaging
from headwater.packaging.filling import filled_serving, served_from_headwater
from headwater.packaging.general import Stored
from tests.unit.packaging.documents import WHOLE, changed, package


def trained() -> packaging.ModelPackage:
    document = packaging.read(changed("serve")).document
    assert isinstance(document, packaging.ModelPackage)
    return document


def test_what_training_makes_is_what_is_served() -> None:
    filled = filled_serving(trained()).serve
    assert filled
    assert filled.servable
    assert filled.model_source
    results = WHOLE["train"]["model_training_results"]
    assert filled.model_source.servable_model == Stored(
        data_store="age_datastore", bucket="facial-age-estimator", path="1.0/assets/"
    )
    assert filled.model_source.servable_model_local
    assert filled.model_source.servable_model_local.path == results["trained_model_local"]["path"]


def test_a_filled_package_is_valid() -> None:
    written = packaging.write(filled_serving(trained()))
    assert packaging.read(written).document == filled_serving(trained())


def test_what_the_serving_section_says_already_stays() -> None:
    whole = packaging.read(yaml.safe_dump(WHOLE)).document
    assert isinstance(whole, packaging.ModelPackage)
    assert filled_serving(whole) == whole


def test_what_was_trained_elsewhere_is_served_from_there() -> None:
    filled = filled_serving(trained(), Stored(url="https://models.example/3")).serve
    assert filled
    assert filled.model_source
    assert filled.model_source.servable_model == Stored(url="https://models.example/3")


def test_a_package_that_trains_nothing_stays_as_it_is() -> None:
    only_served = package(serve={"servable": True, "model_source": {"servable_model_local": {"path": "m.onnx"}}})
    assert filled_serving(only_served) == only_served


@pytest.mark.parametrize(
    ("stores", "name"),
    [
        ([], "headwater"),
        ([{"name": "here", "type": "headwater"}], "here"),
        ([{"name": "headwater", "type": "gcs"}], "headwater-1"),
    ],
)
def test_a_registered_version_is_served_from_this_headwater(stores: list[dict[str, str]], name: str) -> None:
    served = served_from_headwater(package(data_stores=stores), "digits@3")
    assert served.serve
    assert served.serve.model_source
    assert served.serve.model_source.servable_model == Stored(data_store=name, path="digits@3")
    assert packaging.read(packaging.write(served)).document == served
