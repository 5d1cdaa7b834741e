"""Fields that stand where MLSpec's pages or examples have them, put where they belong."""

from collections.abc import Iterator, Sequence

from headwater.marked_yaml import Node
from headwater.packaging.reader import Reader, key_place
from headwater.packaging.spelling import meant


def move(root: Node, moves: Sequence[tuple[str, str]], reader: Reader) -> None:
    """Carry each move's value from its first path to its second, with a warning; ``[]`` stands for each of a list."""
    for source, target in moves:
        old, new = source.split("."), target.split(".")
        shared = next(at for at, step in enumerate(old) if step != new[at])
        for node, path in _each(root, old[:shared], ""):
            _carry(node, old[shared:], new[shared:], path, reader)


def _each(node: Node, steps: Sequence[str], path: str) -> Iterator[tuple[Node, str]]:
    if not steps:
        yield node, path
        return
    key = _find(node, steps[0].removesuffix("[]"))
    if key is None:
        return
    below, name = node.entries[key], f"{path}{key}"
    if not steps[0].endswith("[]"):
        yield from _each(below, steps[1:], f"{name}.")
        return
    for at, item in enumerate(below.items):
        yield from _each(item, steps[1:], f"{name}[{at}].")


def _carry(node: Node, old: Sequence[str], new: Sequence[str], path: str, reader: Reader) -> None:
    parent: Node | None = node
    for step in old[:-1]:
        key = _find(parent, step) if parent else None
        parent = parent.entries[key] if parent and key is not None else None
    key = _find(parent, old[-1]) if parent else None
    if parent is None or key is None:
        return
    target = _made(node, new[:-1])
    there = target and _find(target, new[-1])
    value = parent.entries[key]
    if target is None or (there and not target.entries[there].is_null and not value.is_null):
        return  # It stays where it is, and is an unknown field there.
    del parent.entries[key]
    if not parent.entries:
        parent.kind, parent.text, parent.is_plain = "scalar", "", True
    if not there or target.entries[there].is_null:
        target.entries[there or new[-1]] = value
    reader.warn(f"{path}{'.'.join(old)}", f"belongs at {path}{'.'.join(new)}", key_place(value))


def _made(node: Node, steps: Sequence[str]) -> Node | None:
    """The mapping at the end of ``steps``, made where there is none; None where something else is in the way."""
    for step in steps:
        key = _find(node, step) or step
        below = node.entries.get(key)
        if below is None or below.is_null:
            below = Node(node.line, node.column, "mapping", key_line=node.key_line, key_column=node.key_column)
            node.entries[key] = below
        if below.kind != "mapping":
            return None
        node = below
    return node


def _find(node: Node, key: str) -> str | None:
    """The key as it is written there."""
    if key in node.entries:
        return key
    return next((written for written in node.entries if meant(written) == key), None)
