"""Which page tokens belong to which lists of records."""

import dataclasses

import pytest

from chassis.paging import query_digest
from services.inference.records.model import RecordQuery
from services.inference.records.servicer import digest_of
from tests.unit.inference.records.records import NOW


@pytest.mark.parametrize("deployment", ["digits", ""])
def test_a_page_token_of_the_release_that_knew_only_deployments_is_still_taken(deployment: str) -> None:
    """Promise 17."""
    assert digest_of(RecordQuery("p", deployment)) == query_digest("ListInferenceRecords", "p", deployment)


def test_a_page_token_goes_to_no_other_query() -> None:
    all_of_them = RecordQuery("p")
    others = [
        dataclasses.replace(all_of_them, **{field: value})  # type: ignore[arg-type]
        for field in ("project", "deployment", "model_version", "result")
        for value in ("x", "None")
    ]
    others += [dataclasses.replace(all_of_them, start=NOW), dataclasses.replace(all_of_them, end=NOW)]
    assert len({digest_of(each) for each in [all_of_them, *others]}) == 11
