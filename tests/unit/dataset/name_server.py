"""A name server that a test has answer what it wants."""

import socket
from typing import Any

import pytest


def names(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[str]]) -> None:
    """Let the name server answer with these addresses, one after the other, the last one for ever."""
    ask = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in answers:
            return ask(host, port, *args, **options)
        known = answers[host]
        return ask(known.pop(0) if len(known) > 1 else known[0], port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
