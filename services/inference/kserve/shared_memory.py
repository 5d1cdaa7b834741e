"""Regions of POSIX shared memory that callers have registered, so that tensors need not travel in messages.

Off unless keys of some beginning are allowed. A region can be used only by who registered it. Data is copied out of and
into regions by reads and writes of the file, not through a mapping: what a client writes while its request is computed
changes neither the answer nor the record, and a region that a client cuts short is an error instead of a dead process.
"""

import dataclasses
import os
import re
import stat
import weakref
from collections.abc import Sequence

from headwater.errors import AlreadyExists, NotFound, ResourceExhausted
from services.inference.errors import InvalidRequest, NotSupported
from services.inference.kserve.parameters import Place
from services.inference.tensors.errors import shown

_DIRECTORY = "/dev/shm"  # noqa: S108 where Linux keeps shm_open's regions; nothing is created in it
_KEY = re.compile(r"/?(?!\.\.?\Z)[A-Za-z0-9_.-]{1,250}", re.ASCII)
_MAX_REGIONS = 1024  # each holds a file descriptor
_MAX_REGIONS_OF_ONE = 256  # so that no caller takes all of them
_MAX_NAME = 255


class RegionNotFound(NotFound):
    """The caller has registered no region of this name."""

    reason = "REGION_NOT_FOUND"
    text = "Unable to find the system shared memory region; register it first."


class RegionAlreadyRegistered(AlreadyExists):
    """The caller has a region of this name already."""

    reason = "REGION_ALREADY_REGISTERED"
    text = "A shared memory region of this name is registered already; unregister it first."


class TooManyRegions(ResourceExhausted):
    """As many regions are registered as may be."""

    reason = "TOO_MANY_REGIONS"
    text = "Too many shared memory regions are registered; unregister those that are not used any more."


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Region:
    """A registered part of a POSIX shared memory object. The file is closed when nobody uses the region any more."""

    name: str
    key: str
    offset: int
    size_bytes: int
    descriptor: int

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.descriptor)


class Regions:
    """What is registered in this process. ``prefixes`` are the beginnings that keys may have; none: it is all off."""

    def __init__(self, prefixes: Sequence[str] = ()) -> None:
        names = [prefix.strip(" /") for prefix in prefixes]
        self._prefixes = tuple(name for name in names if name)  # an empty one would allow everything
        self._regions: dict[tuple[str, str], Region] = {}

    @property
    def enabled(self) -> bool:
        """Whether regions can be registered at all."""
        return bool(self._prefixes)

    def register(self, owner: str, name: str, key: str, offset: int, size_bytes: int) -> None:
        """Let ``owner`` use ``size_bytes`` from ``offset`` on of the shared memory object ``key`` as ``name``.

        Raises:
            NotSupported: shared memory is off.
            InvalidRequest: the key is not allowed, there is no such object, or it is smaller than that.
            RegionAlreadyRegistered
            TooManyRegions: ``owner`` has as many as one caller may have, or all together have as many as there may be.
        """
        self.require_enabled()
        if not 0 < len(name) <= _MAX_NAME:
            raise InvalidRequest(f"The name of a region has 1 to {_MAX_NAME} characters; this one has {len(name)}.")
        if (owner, name) in self._regions:
            raise RegionAlreadyRegistered(region=name)
        self._require_room(owner)
        if offset < 0 or size_bytes <= 0:
            raise InvalidRequest("A region needs an offset of 0 or more and a byte size of 1 or more.")
        region = Region(name, key, offset, size_bytes, self._open(key))
        _require_size(region)
        self._regions[owner, name] = region

    def unregister(self, owner: str, name: str = "") -> None:
        """Forget a region of ``owner``, or all of them; that there is none is as good. Requests under way go on."""
        self.require_enabled()
        for key in [key for key in self._regions if key[0] == owner and name in ("", key[1])]:
            del self._regions[key]

    def registered(self, owner: str, name: str = "") -> Sequence[Region]:
        """The region ``name`` of ``owner``, or all of them by name; raises RegionNotFound."""
        self.require_enabled()
        if name:
            return [self._find(owner, name)]
        return [region for key, region in sorted(self._regions.items()) if key[0] == owner]

    def read(self, owner: str, place: Place) -> bytes:
        """A copy of what is there.

        Raises:
            NotSupported, RegionNotFound, InvalidRequest: shared memory is off, or the place is not in a region.
        """
        region = self.check(owner, place)
        content = os.pread(region.descriptor, place.size_bytes, region.offset + place.offset)
        if len(content) != place.size_bytes:
            raise _cut_short(region)
        return content

    def write(self, owner: str, place: Place, content: bytes) -> None:
        """Put ``content`` there; raises as :meth:`read`, and InvalidRequest where there is too little room."""
        region = self.check(owner, place)
        if len(content) > place.size_bytes:
            raise InvalidRequest(
                f"The output takes {len(content)} bytes; the place in region {shown(region.name)} has "
                f"{place.size_bytes}."
            )
        _require_size(region)  # a write behind its end would make it grow
        if os.pwrite(region.descriptor, content, region.offset + place.offset) != len(content):
            raise _cut_short(region)

    def check(self, owner: str, place: Place) -> Region:
        """The region that has the place; raises as :meth:`read`."""
        self.require_enabled()
        region = self._find(owner, place.region)
        if place.offset + place.size_bytes > region.size_bytes:
            raise InvalidRequest(
                f"Region {shown(region.name)} has {region.size_bytes} bytes; offset {place.offset} and "
                f"{place.size_bytes} bytes go beyond its end."
            )
        return region

    def require_enabled(self) -> None:
        """Go on if shared memory is on; raises NotSupported."""
        if not self._prefixes:
            raise NotSupported(
                "Shared memory is not supported here: send tensors in the messages. "
                "An operator can switch it on with HEADWATER_SHARED_MEMORY_PREFIXES."
            )

    def _require_room(self, owner: str) -> None:
        if sum(each == owner for each, _ in self._regions) >= _MAX_REGIONS_OF_ONE:
            raise TooManyRegions(limit=_MAX_REGIONS_OF_ONE, of="one caller")
        if len(self._regions) >= _MAX_REGIONS:
            raise TooManyRegions(limit=_MAX_REGIONS, of="all callers")

    def _find(self, owner: str, name: str) -> Region:
        region = self._regions.get((owner, name))
        if region is None:
            raise RegionNotFound(region=name)
        return region

    def _open(self, key: str) -> int:
        if not _KEY.fullmatch(key) or not key.lstrip("/").startswith(self._prefixes):
            allowed = ", ".join(f"/{prefix}" for prefix in self._prefixes)
            raise InvalidRequest(
                f"The key of a region must be one name that begins with {allowed}; it is {shown(key)}."
            )
        path = f"{_DIRECTORY}/{key.lstrip('/')}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidRequest(
                f"The shared memory object {shown(key)} cannot be opened: {error.strerror}."
            ) from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:  # a link could be to anything in that file system
            os.close(descriptor)
            raise InvalidRequest(f"{shown(key)} is no shared memory object.")
        return descriptor


def _require_size(region: Region) -> None:
    size = os.fstat(region.descriptor).st_size
    if region.offset + region.size_bytes > size:
        raise InvalidRequest(
            f"The shared memory object {shown(region.key)} has {size} bytes; offset {region.offset} and "
            f"{region.size_bytes} bytes go beyond its end."
        )


def _cut_short(region: Region) -> InvalidRequest:
    return InvalidRequest(f"The shared memory object {shown(region.key)} was cut short since it was registered.")
