"""Which outputs a question is answered with: those it names, and ``features`` by its parameter ``return_features``.

A classifier may give, beside its logits, the features that it decided by: large, and seldom wanted (P-23).
"""

from collections.abc import Sequence

from services.inference.question import Question
from services.inference.tensors.errors import SignatureMismatch, shown
from services.inference.tensors.model import Signature

FEATURES = "features"


def choose_outputs(signature: Signature, question: Question) -> Sequence[int]:
    """Where the outputs stand that the answer is to have, in their order.

    Raises:
        SignatureMismatch: the model has no such outputs, or the question contradicts itself.
    """
    chosen = signature.choose_outputs(question.outputs)
    if question.return_features is None:
        return chosen
    names = [spec.name for spec in signature.outputs]
    position = names.index(FEATURES) if FEATURES in names else None
    if question.return_features:
        if position is None:
            there = ", ".join(map(shown, names[:8])) + (", …" if len(names) > 8 else "")
            raise SignatureMismatch(f"return_features is true, and the model has no output features; it has {there}.")
        return chosen if position in chosen else [*chosen, position]
    if FEATURES in question.outputs:
        raise SignatureMismatch("The output features is asked for, and return_features is false.")
    left = [index for index in chosen if index != position]
    if not left:
        raise SignatureMismatch("return_features is false, and the model gives nothing but features.")
    return left
