"""What files hold comes back from its JSON as it was."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.formats import ExternalData, FileFacts, Format, Global, Layer, Signature, Tensor
from services.registry.versions import contents
from services.registry.versions.contents.convert import file_to_proto
from services.registry.versions.model import ModelFile

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
WHOLE = st.integers(0, 2**62)
SHAPES = st.lists(WHOLE, max_size=3).map(tuple)
PLACED = st.builds(Tensor, TEXT, TEXT, SHAPES, begin=WHOLE, end=WHOLE)
TENSORS = st.lists(PLACED | st.builds(Tensor, TEXT, TEXT, SHAPES, begin=st.just(-1), end=st.just(-1)), max_size=2)


def _facts(members: st.SearchStrategy[dict[str, FileFacts]]) -> st.SearchStrategy[FileFacts]:
    return st.builds(
        FileFacts,
        format=st.sampled_from(Format),
        tensors=TENSORS,
        inputs=TENSORS,
        outputs=TENSORS,
        signatures=st.dictionaries(TEXT, st.builds(Signature, TENSORS, TENSORS), max_size=2),
        properties=st.dictionaries(TEXT, TEXT, max_size=2),
        external=st.lists(st.builds(ExternalData, TEXT, WHOLE), max_size=2),
        framework=TEXT,
        framework_version=st.just(""),
        architecture=TEXT,
        layers=st.lists(st.builds(Layer, TEXT, TEXT), max_size=2),
        operators=st.dictionaries(TEXT, WHOLE, max_size=2),
        opsets=st.dictionaries(TEXT, WHOLE, max_size=2),
        globals=st.lists(st.builds(Global, TEXT, st.booleans(), st.booleans()), max_size=2),
        code=st.lists(TEXT, max_size=2),
        problems=st.lists(TEXT, max_size=2),
        members=members,
    )


FACTS = st.recursive(_facts(st.just({})), lambda inner: _facts(st.dictionaries(TEXT, inner, max_size=2)), max_leaves=3)


@settings(max_examples=60, deadline=None)
@given(FACTS)
def test_facts_come_back_from_json(facts: FileFacts) -> None:
    assert contents.from_json(json.loads(json.dumps(contents.to_json(facts)))) == facts


def test_nothing_takes_no_place() -> None:
    assert contents.to_json(FileFacts()) == {}


def test_tensors_of_the_release_before_have_no_place_in_the_file() -> None:
    assert contents.tensors_from_json([["w", "FP32", [2, 3]]]) == [Tensor("w", "FP32", (2, 3))]


def test_a_file_tells_all_that_it_holds() -> None:
    weights = Tensor("w", "FP32", (2, 3), 8, 32)
    member = FileFacts(format=Format.SAFETENSORS, tensors=[weights])
    facts = FileFacts(
        format=Format.PYTORCH,
        tensors=[Tensor("w", "FP32", (2, 3))],
        signatures={"serve": Signature([weights], [])},
        framework="pytorch",
        framework_version="2.13",
        architecture="Net",
        layers=[Layer("conv", "Conv2d")],
        operators={"Conv": 2},
        opsets={"": 17},
        globals=[Global("os.system", called=True, safe=False)],
        code=["code/__torch__.py"],
        problems=["it would call os.system"],
        members={"a.safetensors": member},
    )
    told = file_to_proto(ModelFile("model.pt", "sha256:0", 64, facts))
    assert (told.path, told.size_bytes, told.parameter_count) == ("model.pt", 64, 6)
    assert not told.tensors[0].HasField("begin_offset")
    assert (told.signatures["serve"].inputs[0].begin_offset, told.members[0].tensors[0].end_offset) == (8, 32)
    assert (told.framework.name, told.framework.version, told.architecture) == ("pytorch", "2.13", "Net")
    assert (told.layers[0].kind, told.operators["Conv"], told.opsets[""]) == ("Conv2d", 2, 17)
    assert (told.globals[0].called, told.globals[0].safe) == (True, False)
    assert (list(told.code), list(told.problems)) == (["code/__torch__.py"], ["it would call os.system"])
    assert told.members[0].path == "a.safetensors"
