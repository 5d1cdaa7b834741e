"""What ``save_pretrained`` of transformers writes, in small."""

import json
from collections.abc import Mapping
from typing import Any

from tests.data.models.safetensors_files import safetensors

BERT: Mapping[str, Any] = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_size": 16,
    "model_type": "bert",
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "torch_dtype": "float32",
    "transformers_version": "4.57.1",
    "vocab_size": 30,
}


def config(**changes: Any) -> bytes:
    """``config.json`` of a small BERT."""
    return json.dumps({**BERT, **changes}, indent=2).encode()


def pretrained(**changes: Any) -> Mapping[str, bytes]:
    """The files of model and tokenizer; ``changes`` are of the configuration."""
    return {
        "config.json": config(**changes),
        "generation_config.json": b'{"_from_model_config": true, "transformers_version": "4.57.1"}',
        "model.safetensors": safetensors(**{"bert.embeddings.word_embeddings.weight": (30, 16)}),
        "special_tokens_map.json": b'{"mask_token": "[MASK]"}',
        "tokenizer.json": b'{"version": "1.0", "model": {"type": "WordPiece", "vocab": {"[MASK]": 0}}}',
        "tokenizer_config.json": b'{"tokenizer_class": "BertTokenizer", "model_max_length": 512}',
        "vocab.txt": b"[MASK]\nhello\n",
    }
