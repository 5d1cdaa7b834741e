"""A real server from a wheel, detached: it outlives the process that started it and is found again by its directory."""

from pathlib import Path


class EmbeddedPostgres:
    """The server that keeps its data, password and log in ``directory``."""

    def __init__(self, directory: Path) -> None:
        raise NotImplementedError

    def start(self, port: int = 0) -> None:
        """Start the server on 127.0.0.1, or find it running; returns when it answers. Port 0 takes any free one."""

    def stop(self) -> None:
        """Stop the server if it runs; returns when it is gone."""

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it answers, with its password."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """The id of the server process."""
        raise NotImplementedError
