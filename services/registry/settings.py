"""The settings of the registry: those of every service, and its own."""

from typing import Annotated

from pydantic import Field

from chassis.settings import Port, Seconds, ServiceSettings


class Settings(ServiceSettings):
    """What the registry can be told, by ``HEADWATER_*`` variables."""

    port: Port = 50051
    """The gRPC port."""
    admin_port: Port = 51051
    """The admin HTTP port: ``/ok``, ``/varz``, ``/metrics``."""
    upload_idle_s: Seconds = 30.0
    """How long an upload may pause between two messages, in seconds, before it is given up."""
    max_artifact_bytes: Annotated[int, Field(ge=1)] = 64 * 2**30
    """The largest artifact that is taken, in bytes."""
    artifact_sources: str = ""
    """Places in object storage that artifacts may be imported from, comma-separated, as in ``s3://models/,gs://team/``;
    each ends in ``/``. None: importing is off."""
    upload_lifetime_s: Seconds = 86_400.0
    """How long an upload that was begun lives after its last bytes, in seconds."""
    max_open_uploads: Annotated[int, Field(ge=1)] = 1000
    """How many uploads of one project may have been begun and not ended."""
    collect_interval_s: Annotated[float, Field(gt=0)] = 3600.0
    """How often forgotten requests and interrupted uploads are removed, in seconds."""
    concurrent_inspections: Annotated[int, Field(ge=1, le=64)] = 2
    """How many model files are read for their metadata at once; each may need up to 300 MB for a moment."""
