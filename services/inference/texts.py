"""What others have said, made fit to be kept and shown."""


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL and, as gRPC cannot either, halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
