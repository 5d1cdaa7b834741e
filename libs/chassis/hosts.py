"""Where a service may connect to: an operator's list of hosts, and what their names may lead to (promise 15).

An empty list allows nothing. An entry is

    s3.*.amazonaws.com            a host, at the ports 443 and 5432; * is any one label
    db.example.com:6432           a host, at this port
    minio.corp:9000=10.1.2.3      a host, at this port and at this address or network, and at no other
    127.0.0.1:9000                an address

A host without an address may lead to public addresses only. One with an address leads to that, loopback and private
ones too, and, as it is the operator who vouches for it, may be spoken to without TLS.
"""

import dataclasses
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Self

from headwater.errors import PermissionDenied, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORTS = frozenset({443, 5432})
_LABEL = re.compile(r"\*|[a-z0-9_][a-z0-9_-]{0,62}", re.ASCII)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class HostNotAllowed(PermissionDenied):
    """The host is not in the list, or leads to an address that is not."""

    reason = "HOST_NOT_ALLOWED"
    text = "The host is not one of those that the operator allows."


class HostUnreachable(Unavailable):
    """The host has no address now."""

    reason = "HOST_UNREACHABLE"
    text = "The host cannot be found."


@dataclasses.dataclass(frozen=True, slots=True)
class HostRule:
    """One entry of the list of hosts."""

    labels: tuple[str, ...]
    ports: frozenset[int]
    networks: tuple[Network, ...] = ()
    """The addresses that it leads to; none: public ones."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The rule that an entry says, or ValueError."""
        place, _, network = text.strip().lower().partition("=")
        host, port = _split_port(place)
        networks = (ipaddress.ip_network(network),) if network else ()
        if (address := address_of(host)) is not None:
            networks = networks or (ipaddress.ip_network(address),)
            labels: tuple[str, ...] = (str(address),)
        else:
            labels = tuple(host.split("."))
            if not all(map(_LABEL.fullmatch, labels)):
                raise ValueError(f"{text!r} does not begin with the name of a host")
        if network == "" and "=" in text:
            raise ValueError(f"{text!r} names no address after =")
        return cls(labels, frozenset({port}) if port else _DEFAULT_PORTS, networks)

    def covers(self, host: str, port: int) -> bool:
        """Whether the entry is about this host and port."""
        if port not in self.ports:
            return False
        if self.labels == (host,):
            return True
        labels = host.split(".")
        return (
            address_of(host) is None
            and len(labels) == len(self.labels)
            and all(rule in ("*", label) for rule, label in zip(self.labels, labels, strict=True))
        )

    def allows(self, address: Address) -> bool:
        """Whether the host may lead to this address."""
        if self.networks:
            return any(address in network for network in self.networks if network.version == address.version)
        return all(each.is_global and not each.is_multicast for each in _meanings(address))


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A host that is allowed, and one address that it leads to now: what is connected to is this, whatever its name
    leads to a moment later."""

    host: str
    port: int
    address: str
    vouched: bool
    """The operator has given the address, so TLS is not demanded."""


def parse_hosts(text: str) -> tuple[HostRule, ...]:
    """The rules of a list with ``,`` between its entries.

    Raises:
        ValueError: naming the entry that is wrong.
    """
    return tuple(HostRule.parse(host) for host in text.split(",") if host.strip())


def rule_for(rules: Sequence[HostRule], host: str, port: int) -> HostRule:
    """The entry about a host and port, the one with an address first.

    Raises:
        HostNotAllowed
    """
    found = sorted((rule for rule in rules if rule.covers(host, port)), key=lambda rule: not rule.networks)
    if not found:
        raise HostNotAllowed(host=host, port=port)
    return found[0]


def resolve(rules: Sequence[HostRule], host: str, port: int) -> Target:
    """Look the host up and choose an address that it is allowed to lead to. Blocks.

    Raises:
        HostNotAllowed: it leads to none.
        HostUnreachable: it has no address.
    """
    rule = rule_for(rules, host, port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise HostUnreachable(host=host, retry_after_ms=1000) from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if rule.allows(address):
            return Target(host, port, str(address), bool(rule.networks))
    raise HostNotAllowed(
        "The host leads to an address that is not allowed; list it with its address, if it should be.", host=host
    )


def address_of(host: str) -> Address | None:
    """The address that the text is, if it is one."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _meanings(address: Address) -> Sequence[Address]:
    """The address and those that it has inside, to which a gateway would lead."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    inside: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo is not None:
        inside += address.teredo
    if address in _NAT64:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    found = [each for each in inside if each is not None]
    return found if address.ipv4_mapped is not None else (address, *found)


def _split_port(place: str) -> tuple[str, int]:
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    else:
        host, port = place, ""
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{place!r} has no port that there can be")
    return host, int(port or 0)
