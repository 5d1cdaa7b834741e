"""Spellings that are in MLSpec's own pages, and what is meant (K-12).

Each is read, with a warning, and written as it is meant.
"""

from typing import Final

KEYS: Final = {
    "model_feature_schema_source": "model_features_schema_source",
    "model_feature_source": "model_features_schema_source",
    "model_features_source": "model_features_schema_source",
    "data_stores_file_paths": "data_store_file_paths",
    "data_stores_file_path": "data_store_file_paths",
    "data_store_file_path": "data_store_file_paths",
    "data_store_files_paths": "data_store_file_paths",
    "train_params": "training_params",
    "requirements": "requirement",
    "runtime_artifacts": "runtimeArtifacts",
    "code_assets": "codeAssets",
    "data_assets": "dataAssets",
    "sample_inputs": "sampleInputs",
    "specVersion": "mlSpecVersion",
    "mlSpecVersion": "specVersion",
}
WORDS: Final = {
    "endpoing": "endpoint",
    "secorable": "scorable",
    "convertable": "convertible",
    "festure": "feature",
}
LATENCIES: Final = ("requestLatency", "requestLatencyMs", "inferenceLatency")
"""What MLSpec calls one number, the milliseconds of an answer (K-14)."""
LATENCY: Final = "latency_ms"


def meant(key: str) -> str:
    """The key that is meant: itself where it is not one of those that are known to be misspelt."""
    key = _without_note(key)
    return word(KEYS.get(key, key))


def word(text: str) -> str:
    """A name without the misspelt words in it."""
    for wrong, right in WORDS.items():
        text = text.replace(wrong, right)
    return text


def _without_note(key: str) -> str:
    """``requirement(optional)`` is ``requirement``."""
    name, opened, note = key[:-1].rpartition("(") if key.endswith(")") else (key, "", "")
    return name.rstrip() if opened and ")" not in note else key
