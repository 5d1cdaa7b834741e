"""What the service needs from outside of its process."""

import dataclasses
import functools
from pathlib import Path

from chassis import Service
from chassis.auth import Role
from chassis.blobs import Blobs, blobs_from_url
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from chassis.rpc.client import channel
from services.inference.conversions.postgres import PostgresConversions
from services.inference.conversions.publishing import Publisher
from services.inference.conversions.registry import RegistryPublisher
from services.inference.conversions.store import ConversionStore
from services.inference.deployments.lineage import Lineage
from services.inference.deployments.postgres import PostgresDeployments
from services.inference.deployments.registry import RegistryLineage
from services.inference.deployments.store import DeploymentStore
from services.inference.drift.datasets import DatasetProfiles
from services.inference.drift.postgres import PostgresReferences
from services.inference.drift.profiles import MemoryProfiles, Profiles
from services.inference.drift.store import MemoryReferences, ReferenceStore
from services.inference.guard.postgres import PostgresStandings
from services.inference.guard.standing import StandingStore
from services.inference.incidents.postgres import PostgresIncidents
from services.inference.incidents.store import IncidentStore
from services.inference.models.registry import RegistryModels
from services.inference.models.source import ModelSource
from services.inference.records.feedback.postgres import PostgresFeedback
from services.inference.records.feedback.store import FeedbackStore
from services.inference.records.postgres import PostgresRecords
from services.inference.records.store import HotRecords
from services.inference.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Outside:
    """What the service needs from outside of its process."""

    deployments: DeploymentStore
    records: HotRecords
    models: ModelSource
    lineage: Lineage
    incidents: IncidentStore
    standings: StandingStore
    feedback: FeedbackStore
    conversions: ConversionStore
    publisher: Publisher
    blobs: Blobs | None
    """Where older records go; None: they stay where they are."""
    profiles: Profiles = dataclasses.field(default_factory=MemoryProfiles)
    references: ReferenceStore = dataclasses.field(default_factory=MemoryReferences)


def outside_of(service: Service, settings: Settings, schema: str, migrations: Path) -> Outside:
    """PostgreSQL, object storage, the registry and the datasets that the settings name. ``service`` looks after
    them, and closes them at its end."""
    database = Database(settings.database_url, schema, settings.database_pool_size)
    token = service.auth.token_source("service:inference", [Role.READER, Role.WRITER])
    registry = channel(settings.registry_address, token=token, settings=settings)
    datasets = channel(settings.dataset_address, token=token, settings=settings)
    deployments = PostgresDeployments(database)
    outside = Outside(
        deployments,
        PostgresRecords(database),
        RegistryModels(registry),
        RegistryLineage(registry),
        PostgresIncidents(database),
        PostgresStandings(database),
        PostgresFeedback(database),
        PostgresConversions(database),
        RegistryPublisher(registry),
        blobs_from_url(settings.blobs_url, schema) if settings.blobs_url else None,
        DatasetProfiles(datasets),
        PostgresReferences(database),
    )
    service.add_preparation("migrations", functools.partial(migrate, settings.database_url, schema, migrations))
    service.add_check("postgresql", database.check)
    service.add_background("requests", deployments.forget_requests)
    service.on_close(database.close)
    service.on_close(registry.close)
    service.on_close(datasets.close)
    if outside.blobs is not None:
        service.add_check("blobs", outside.blobs.check)
        service.on_close(outside.blobs.close)
    return outside
