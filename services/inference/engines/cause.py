"""What a library says of a file or an input that it cannot use."""

import re

_LONGEST = 300
_NOISE = re.compile(
    r"^\[[0-9:]*\] (?:\S+: )?"  # XGBoost's time and place
    r"|^\[ONNXRuntimeError\] : \d+ : \w+ : "
    r"|\S*/\S+\.(?:cc|cpp|cu|cuh|h|hpp|py|pyx|so)\b\S*(?: [^()]*?\w::\w[^()]*\(.*?\) (?=[A-Z]))?"  # a place in sources
)


def in_words(error: BaseException) -> str:
    """The first line of the text of ``error``, without where in the library that is: no path, no function, no stack
    (promise 16). Ends without a full stop."""
    text = str(error).strip().partition("\n")[0]
    while (shorter := _NOISE.sub("", text).strip()) != text:
        text = shorter
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return text.rstrip(". ") or type(error).__name__
