"""Every knob of the dataset service, on top of those that all services have."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Port, Seconds, ServiceSettings
from services.dataset.datastores.allowed import Allowed


class Settings(ServiceSettings):
    """The environment variables ``HEADWATER_*`` that the dataset service reads."""

    port: Port = 50052
    flight_port: Port = 50062
    """The Arrow Flight port."""
    flight_socket: str = ""
    """The absolute path of a Unix socket that serves Arrow Flight to processes of the same user. Empty: none."""
    admin_port: Port = 51052
    upload_ttl_s: Seconds = 6 * 3600.0
    """An open upload into which nothing was put for so long is given up, in seconds."""
    collect_interval_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """How often what dead uploads left behind is collected, in seconds."""
    unreachable_commit_ttl_s: Annotated[float, Field(ge=0)] = 14 * 86_400.0
    """A commit that no branch, tag or version has led to for so long is dropped with its rows, in seconds."""
    compact_interval_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 3600.0
    """How often packs are looked for of which little is needed any more, in seconds."""
    compact_after_s: Annotated[float, Field(ge=0)] = 86_400.0
    """A pack is looked at when it has been stored for so long, in seconds."""
    compact_max_live_share: Annotated[float, Field(ge=0, le=0.9)] = 0.5
    """Packs of whose bytes at most this share is needed are replaced by one with these alone. 0: none is."""
    retired_pack_ttl_s: Annotated[float, Field(ge=60)] = 86_400.0
    """A pack that was replaced stays for so long, in seconds; no stream of rows that began before may take longer."""
    pack_write_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 600.0
    """How long storing one pack may take, in seconds."""
    pack_max_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * 2**20)] = 64 * 2**20
    """The size at which a pack file is closed, in bytes; each stream that is being put holds up to two in memory."""
    max_put_streams: Annotated[int, Field(ge=1, le=1024)] = 8
    max_made_streams: Annotated[int, Field(ge=1, le=1024)] = 64
    """Streams of rows put at the same time; the next one is refused with RESOURCE_EXHAUSTED and a retry hint."""
    mapped_packs: Annotated[int, Field(ge=1)] = 256
    """Pack files kept mapped for reading; each takes a file handle, and address space but no memory of its own."""
    ticket_ttl_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """How long a ticket from GetFlightInfo can be redeemed, in seconds."""
    datastore_folders: str = ""
    """Folders of this machine that datastores may be in, with ``:`` between them. Empty: none."""
    datastore_hosts: str = ""
    """Hosts that datastores may be on, with ``,`` between them: ``s3.*.amazonaws.com``, ``db.example.com:6432``, or
    with the address that it must have, ``minio.corp:9000=10.1.2.3``. Empty: none."""
    datastore_spool_max_bytes: Annotated[int, Field(ge=1)] = 16 * 2**30
    """Copies of an object store's files that are kept on disk while one path is read, in bytes."""
    datastore_statement_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """How long a PostgreSQL datastore may work on one query, in seconds."""
    max_datastore_reads: Annotated[int, Field(ge=1, le=1024)] = 8
    """Datastores read at the same time; the next read is refused with RESOURCE_EXHAUSTED and a retry hint."""
    datastore_reader_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """A reader that takes no rows of a datastore for so long loses it to others, in seconds."""
    checkpoint_lease_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """After so long without a sign of life of who copies rows to a checkpoint, another process goes on, in seconds."""
    profilers: Annotated[int, Field(ge=0, le=64)] = 1
    """Profiles computed at the same time; each keeps about one core busy. 0: leave them to other processes."""
    profile_lease_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """After so long without a sign of life of who computes a profile, another process begins it again, in seconds."""
    profile_max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """How often a profile is begun before it has failed, when its process ends or what it needs is away."""
    profile_poll_interval_s: Annotated[float, Field(gt=0, le=60)] = 0.25
    """How often a process looks for profiles to compute, in seconds."""
    checkpoint_poll_interval_s: Annotated[float, Field(gt=0, le=3600)] = 2.0
    """How often a process looks for checkpoints that others have left, in seconds."""

    @field_validator("datastore_folders", "datastore_hosts")
    @classmethod
    def _is_allow_list(cls, value: str, info: ValidationInfo) -> str:
        Allowed.parse(**{"folders": "", "hosts": "", str(info.field_name).removeprefix("datastore_"): value})
        return value
