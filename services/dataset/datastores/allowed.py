"""Where the service may read: the operator's lists of folders and hosts (promise 15; chassis.hosts says what an entry
of the list of hosts may be)."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Self

from chassis.hosts import HostNotAllowed, HostRule, HostUnreachable, Target, address_of, parse_hosts, resolve, rule_for
from services.dataset.datastores.errors import InvalidPlace, PlaceIsFile, PlaceNotAllowed, PlaceUnreachable

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Allowed:
    """What the settings allow."""

    folders: tuple[Path, ...] = ()
    hosts: tuple[HostRule, ...] = ()

    @classmethod
    def parse(cls, folders: str, hosts: str) -> Self:
        """What two settings say: folders with ``:`` between them, hosts with ``,``.

        Raises:
            ValueError: naming the entry that is wrong.
        """
        paths = [Path(folder) for folder in folders.split(os.pathsep) if folder]
        for path in paths:
            if not path.is_absolute() or path == Path("/"):
                raise ValueError(f"{str(path)!r} is not the absolute path of a folder below /")
        return cls(tuple(paths), parse_hosts(hosts))

    def folder(self, path: str) -> Path:
        """Where the path leads, following symbolic links: a folder within one that is allowed.

        Raises:
            PlaceNotAllowed, PlaceIsFile
        """
        real = self._within(path)
        if not real.is_dir():
            raise PlaceIsFile(place="folder") if real.exists() else _gone("folder")
        return real

    def file(self, path: str) -> Path:
        """As ``folder``, of a file."""
        real = self._within(path)
        if not real.is_file():
            raise _gone("file")
        return real

    def rule(self, host: str, port: int) -> HostRule:
        """The entry about a host and port, the one with an address first.

        Raises:
            PlaceNotAllowed
        """
        try:
            return rule_for(self.hosts, host, port)
        except HostNotAllowed as error:
            raise PlaceNotAllowed(setting="HEADWATER_DATASTORE_HOSTS", host=host, port=port) from error

    def resolve(self, host: str, port: int) -> Target:
        """Look the host up and choose an address that it is allowed to lead to. Blocks.

        Raises:
            PlaceNotAllowed: it leads to none.
            PlaceUnreachable: it has no address.
        """
        self.rule(host, port)
        try:
            return resolve(self.hosts, host, port)
        except HostUnreachable as error:
            raise PlaceUnreachable(host=host, retry_after_ms=1000) from error
        except HostNotAllowed as error:
            raise PlaceNotAllowed(error.message, setting="HEADWATER_DATASTORE_HOSTS", host=host) from error

    def _within(self, path: str) -> Path:
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders):
            raise PlaceNotAllowed(setting="HEADWATER_DATASTORE_FOLDERS")
        return real


def _gone(kind: str) -> PlaceNotAllowed:
    return PlaceNotAllowed(f"There is no such {kind} in the folders that the dataset service may read.", place=kind)


def host_name(text: str, field: str) -> str:
    """The host in lower case, if it is the name of one or an address, or InvalidPlace."""
    host = text.strip("[]").lower().removesuffix(".")
    address = address_of(host)
    if address is not None:
        return str(address)
    # What only looks like a name (127.1, 0x7f.1) is an address to some resolvers.
    if not _HOST.fullmatch(host) or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        raise InvalidPlace(field=field)
    return host
