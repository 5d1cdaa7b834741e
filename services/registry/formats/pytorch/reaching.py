"""Which operators that read or write files the code of a TorchScript archive names.

Code that PyTorch prints says ``torch.save(x, "f")``. Code that is written to attack may say as well ``torch . save``,
``f = torch.save``, or ``getattr(torch, "sa" "ve")``: so each word is looked at, wherever it stands outside of a text,
and each text where attributes are taken by their name.
"""

import re
from collections.abc import Iterable

OPERATORS = frozenset({"save", "from_file"})
"""Operators of PyTorch that read or write a file."""
_TEXT = r'"""(?:[^\\]|\\.)*?"""|' r"'''(?:[^\\]|\\.)*?'''|" r'"(?:[^"\\\n]|\\.)*"|' r"'(?:[^'\\\n]|\\.)*'"
_WORD = "|".join(sorted(OPERATORS))
_TOKEN = re.compile(rf"(?P<text>{_TEXT})|(?P<gap>(?:\s|\\\n|\#[^\n]*)+)|\b(?P<word>{_WORD}|getattr)\b|\w+|.", re.DOTALL)
_ANY_WORD = re.compile(rf"\b(?:{_WORD}|getattr)\b")
_QUOTES = re.compile(r"\"\"\"|'''|[\"']")
_OCTAL = re.compile(r"\\([0-7]{1,3})")


def named(code: str) -> frozenset[str]:
    """Those of OPERATORS that the code names."""
    if not _ANY_WORD.search(code):
        return frozenset()
    words: set[str] = set()
    texts: set[str] = set()
    joined = ""  # texts that follow each other are one
    for token in _TOKEN.finditer(code):
        if token["text"]:
            joined += _meant(token["text"])
        elif not token["gap"]:
            texts.add(joined)
            joined = ""
            if token["word"]:
                words.add(token["word"])
    texts.add(joined)
    return OPERATORS & (words | texts if "getattr" in words else words)


def named_in(codes: Iterable[str]) -> list[str]:
    """See named, for all of them."""
    return sorted(frozenset().union(*map(named, codes)))


def _meant(literal: str) -> str:
    quotes = _QUOTES.match(literal)
    assert quotes is not None
    inside = literal[quotes.end() : -quotes.end()]
    return _OCTAL.sub(lambda escape: chr(int(escape[1], 8)), inside)
