"""Every knob of the training scheduler, on top of those that all services have."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from chassis.settings import Port, Seconds, ServiceSettings

_CORES = os.cpu_count() or 1
_MEMORY_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(ServiceSettings):
    """The environment variables ``HEADWATER_*`` that the training scheduler reads."""

    port: Port = 50054
    admin_port: Port = 51054
    training_dir: Path = Path(".headwater/training")
    """Where jobs run: their code, and the logs of their workers."""
    local_workers: Annotated[int, Field(ge=1)] = max(2, _CORES)
    """Worker processes that the local launcher runs at once, of all jobs."""
    local_cpus: Annotated[float, Field(gt=0)] = float(_CORES)
    """Processor cores that jobs on this machine may ask for, together."""
    local_memory_bytes: Annotated[int, Field(gt=0)] = _MEMORY_BYTES
    """Memory that jobs on this machine may ask for, together, in bytes."""
    local_gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs that jobs on this machine may ask for, together."""
    ray_address: str = ""
    """The Ray cluster, as ``host:port``, or ``local`` for a private one on this machine. Empty: there is none, and jobs
    that ask for it are refused."""
    ray_workers: Annotated[int, Field(ge=1)] = 256
    """Worker processes on Ray at once, of all jobs; Ray itself decides what fits when."""
    lease_s: Annotated[float, Field(ge=0.5, le=3600)] = 15.0
    """How long a scheduler that says nothing keeps its jobs, in seconds; then another one resumes them."""
    poll_s: PositiveSeconds = 2.0
    """How often the database is looked at without a hint that something has changed, in seconds."""
    stop_grace_s: Seconds = 5.0
    """What workers have between SIGTERM and SIGKILL, in seconds."""
    log_max_bytes: Annotated[int, Field(ge=64 * 1024)] = 64 * 2**20
    """The size past which the log of one attempt is cut, in bytes."""
    job_credentials_ttl_s: Annotated[float, Field(ge=10, le=86_400)] = 3600.0
    """How long the token of a job's workers is valid, in seconds; it is renewed at half of it."""
    checkpoints_kept: Annotated[int, Field(ge=1, le=1000)] = 3
    """The newest checkpoints of a job that are kept."""
    max_checkpoint_bytes: Annotated[int, Field(ge=1)] = 64 * 2**30
    """The largest checkpoint that is taken, in bytes."""
    collect_interval_s: PositiveSeconds = 60.0
    """How often what no checkpoint needs is collected, in seconds."""
    worker_training_address: str = ""
    """Where workers reach this scheduler; empty: where it listens."""
