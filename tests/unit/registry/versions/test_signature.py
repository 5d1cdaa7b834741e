"""What breaks those who call a model (M-80)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.formats import Signature, Tensor
from services.registry.versions.signature import breaking_changes

NAMES = st.sampled_from(["a", "b", "c"])
TENSORS = st.builds(
    Tensor,
    NAMES,
    st.sampled_from(["FP32", "INT64"]),
    st.lists(st.sampled_from([-1, 1, 3]), max_size=3).map(tuple),
)
LISTS = st.lists(TENSORS, max_size=3, unique_by=lambda tensor: tensor.name)
SIGNATURES = st.builds(Signature, LISTS, LISTS)
X = Tensor("x", "FP32", (-1, 4))
Y = Tensor("y", "FP32", (-1, 3))
BASE = Signature([X], [Y])


def _after(inputs: list[Tensor], outputs: list[Tensor]) -> list[str]:
    return list(breaking_changes(BASE, Signature(inputs, outputs)))


def test_the_same_signature_breaks_nothing_in_whatever_order() -> None:
    other = Tensor("z", "INT64", (2,))
    before, after = Signature([X, other], [Y]), Signature([other, X], [Y])
    assert breaking_changes(before, after) == []


def test_an_input_that_is_gone_or_new_breaks() -> None:
    mask = Tensor("mask", "BOOL", (-1,))
    assert _after([X, mask], [Y]) == ["input mask is new, and every call must send it"]
    assert _after([Tensor("image", "FP32", (-1, 4))], [Y]) == [
        "input x is gone",
        "input image is new, and every call must send it",
    ]


def test_an_output_that_is_gone_breaks_and_one_more_does_not() -> None:
    assert _after([X], [Tensor("z", "FP32", (1,))]) == ["output y is gone"]
    assert _after([X], [Y, Tensor("z", "FP32", (1,))]) == []


def test_another_type_or_rank_breaks() -> None:
    assert _after([Tensor("x", "FP16", (-1, 4))], [Y]) == ["input x is FP16 and was FP32"]
    assert _after([X], [Tensor("y", "FP32", (-1, 3, 1))]) == ["output y has 3 dimensions and had 2"]
    assert _after([X], [Tensor("y", "", (-1, 3))]) == ["output y is of no known type and was FP32"]


def test_an_input_may_take_more_and_an_output_may_give_less() -> None:
    assert _after([Tensor("x", "FP32", (-1, -1))], [Tensor("y", "FP32", (8, 3))]) == []
    assert _after([Tensor("x", "FP32", (8, 4))], [Tensor("y", "FP32", (-1, -1))]) == [
        "dimension 0 of input x is 8 and was any size",
        "dimension 1 of output y is any size and was 3",
    ]
    assert _after([Tensor("x", "FP32", (-1, 5))], [Y]) == ["dimension 1 of input x is 5 and was 4"]


def test_a_signature_that_nobody_knows_promises_nothing_and_losing_one_breaks() -> None:
    nothing = Signature([], [])
    assert breaking_changes(nothing, BASE) == []
    assert breaking_changes(BASE, nothing) == ["inputs and outputs are not known any more"]


def test_what_is_told_is_bounded() -> None:
    before = Signature([Tensor(f"x{number}", "FP32", ()) for number in range(500)], [Y])
    told = breaking_changes(before, Signature([], [Y]))
    assert len(told) == 101
    assert told[-1] == "and 400 more"


def _takes(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a value of this shape is one of the tensor."""
    if len(shape) != len(tensor.shape):
        return False
    return all(dimension in (-1, size) for dimension, size in zip(tensor.shape, shape, strict=True))


@settings(max_examples=200)
@given(SIGNATURES, SIGNATURES, st.lists(st.sampled_from([1, 3, 7]), max_size=3).map(tuple))
def test_where_nothing_breaks_every_call_of_before_works_after(
    before: Signature, after: Signature, shape: tuple[int, ...]
) -> None:
    """What the rules mean: whatever was a right input still is one, whatever comes out was to be expected."""
    if breaking_changes(before, after) or not (before.inputs or before.outputs):
        return
    old_inputs = {tensor.name: tensor for tensor in before.inputs}
    new_outputs = {tensor.name: tensor for tensor in after.outputs}
    assert old_inputs.keys() == {tensor.name for tensor in after.inputs}
    for new in after.inputs:
        old = old_inputs[new.name]
        assert old.datatype == new.datatype
        assert not _takes(old, shape) or _takes(new, shape)
    for old in before.outputs:
        new = new_outputs[old.name]
        assert old.datatype == new.datatype
        assert not _takes(new, shape) or _takes(old, shape)
