"""What Hugging Face's files say beside the weights."""

import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile
from services.registry.formats.bundles import main_path, together
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from tests.data.models.hugging_face_files import config, pretrained
from tests.data.models.safetensors_files import safetensors


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


def _tar(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"bert-base-uncased/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def test_a_configuration_is_told_by_what_it_says() -> None:
    """R-12: not by its name."""
    facts = _read(config())
    assert facts.format is Format.HUGGING_FACE_CONFIG
    assert (facts.framework, facts.framework_version, facts.architecture) == (
        "transformers",
        "4.57.1",
        "BertForMaskedLM",
    )
    assert facts.properties == {
        "model_type": "bert",
        "dtype": "float32",
        "hidden_size": "16",
        "num_attention_heads": "2",
        "num_hidden_layers": "1",
        "vocab_size": "30",
    }
    assert _read(config(dtype="bfloat16")).properties["dtype"] == "bfloat16"


@pytest.mark.parametrize("in_tar", [True, False], ids=["in a tar", "beside each other"])
def test_what_save_pretrained_writes_is_one_model(in_tar: bool) -> None:
    """R-27: model and tokenizer, as a tar or as the files of a version."""
    files = pretrained()
    facts = _read(_tar(files)) if in_tar else together({path: _read(data) for path, data in files.items()})
    assert facts.format is Format.HUGGING_FACE
    assert (facts.framework, facts.architecture) == ("transformers", "BertForMaskedLM")
    assert facts.parameter_count == 480
    assert facts.properties["tokenizer_files"] == (
        "special_tokens_map.json, tokenizer.json, tokenizer_config.json, vocab.txt"
    )
    assert not facts.problems


def test_weights_beside_a_configuration_stand_for_the_model() -> None:
    files = {path: _read(data) for path, data in pretrained().items()}
    assert main_path(files) == "model.safetensors"
    elsewhere = {"other/config.json": files["config.json"], "model.safetensors": files["model.safetensors"]}
    assert together(elsewhere).format is Format.SAFETENSORS


@pytest.mark.parametrize(
    "said",
    [{"AutoModel": "modeling_mine.Mine"}, {"AutoTokenizer": ["tokenization_mine.Slow", None]}, "repository--a.B"],
    ids=["by auto class", "slow and fast", "elsewhere"],
)
@pytest.mark.parametrize("of", ["config.json", "tokenizer_config.json"])
def test_code_that_comes_with_the_model_is_marked(of: str, said: Any) -> None:
    """Promise 12: what transformers would import is told, and makes the model unsafe."""
    files = dict(pretrained())
    files[of] = json.dumps({**json.loads(files[of]), "auto_map": said}).encode()
    facts = _read(_tar(files))
    assert len(facts.code) == len(facts.problems) == 1
    assert facts.problems[0].startswith(f"bert-base-uncased/{of}: ")


def _in_shards(extension: str, *there: str) -> Mapping[str, bytes]:
    weights = {f"pytorch_model-{number:05d}-of-00002.{extension}": bytes(10) for number in (1, 2)}
    listed = {f"layer.{number}": name for number, name in enumerate(weights)}
    index = json.dumps({"metadata": {"total_size": 20}, "weight_map": listed}).encode()
    return {"pytorch_model.bin.index.json": index, **{name: weights[name] for name in weights if name in there}}


def test_an_index_of_pytorch_files_needs_all_of_them() -> None:
    names = [f"pytorch_model-{number:05d}-of-00002.bin" for number in (1, 2)]
    assert set(_read(_tar(_in_shards("bin", *names))).members) > {f"bert-base-uncased/{name}" for name in names}
    with pytest.raises(InvalidModelFile, match="pytorch_model-00002-of-00002"):
        _read(_tar(_in_shards("bin", names[0])))


@pytest.mark.parametrize("file", ["../evil.bin", "/etc/evil.bin", "a/b.bin", 3, None])
def test_an_index_that_leads_elsewhere_is_refused(file: Any) -> None:
    weights = {"a": "a.bin", "b": file}
    with pytest.raises(InvalidModelFile, match="no file beside it"):
        _read(json.dumps({"weight_map": weights}).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'{"a": {"model_type": "bert"}}',
        b'{"model_type": 3}',
        b'{"architectures": []}',
        b'{"model_type": "bert"',
        b'{"model_type": ' + b"[" * 100_000,
        b'{"model_type": "bert", "a": ' + b"1" * 5000 + b"}",
        b'{"model_type": "' + b"x" * 2**20 + b'"}',
        b'["model_type"]',
    ],
    ids=["empty", "deeper", "number", "none", "cut off", "nested", "long number", "large", "list"],
)
def test_other_json_is_of_no_format(content: bytes) -> None:
    assert _read(content).format is Format.UNSPECIFIED


def test_what_cannot_be_kept_is_left_out() -> None:
    facts = _read(config(architectures=["A\0B\ud800"], model_type="x" * 1000))
    assert facts.architecture == "AB"
    assert len(facts.properties["model_type"]) == 255


_ANY = st.recursive(
    st.none() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["architectures", "model_type", "auto_map", "torch_dtype", "vocab_size"]), _ANY))
def test_whatever_a_configuration_says_is_read(said: Mapping[str, Any]) -> None:
    facts = _read(json.dumps({"tokenizer_class": "T", **said}).encode())
    assert facts.format in (Format.HUGGING_FACE_CONFIG, Format.UNSPECIFIED)


def test_two_shards_of_safetensors_are_one_model() -> None:
    listed = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    files = {
        "config.json": config(),
        "model.safetensors.index.json": json.dumps({"weight_map": listed}).encode(),
        listed["a"]: safetensors(a=(3,)),
        listed["b"]: safetensors(b=(4,)),
    }
    facts = _read(_tar(files))
    assert (facts.format, facts.parameter_count) == (Format.HUGGING_FACE, 7)
    with pytest.raises(InvalidModelFile, match="00002"):
        _read(_tar({**files, listed["b"]: safetensors(c=(4,))}))
