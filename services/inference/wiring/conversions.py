"""Jobs that convert and tune versions."""

from chassis import Service
from headwater.inference.v1 import (
    conversions_pb2,
    conversions_pb2_grpc,
)
from services.inference.conversions import workshop
from services.inference.conversions.jobs import Conversions
from services.inference.conversions.runner import Runner, Timing
from services.inference.conversions.servicer import ConversionServicer
from services.inference.deployments.deployments import Deployments
from services.inference.engines.code import parse_code
from services.inference.models.cache import ModelCache
from services.inference.settings import Settings
from services.inference.wiring.outside import Outside


def add_conversions(
    service: Service, settings: Settings, outside: Outside, cache: ModelCache, deployments: Deployments
) -> None:
    """Jobs that convert and tune versions, and what works on them."""
    bounds = workshop.Bounds(
        settings.conversion_memory_bytes,
        settings.conversion_timeout_s,
        settings.engine_threads,
        settings.conversion_compiler,
    )
    rooms = workshop.Workshop(bounds, parse_code(settings.engine_code))
    timing = Timing(settings.conversion_poll_s, settings.conversion_lease_s)
    runner = Runner(outside.conversions, outside.models, cache, outside.publisher, rooms, timing)
    service.add_servicer(
        conversions_pb2_grpc.add_ConversionServiceServicer_to_server,
        ConversionServicer(
            Conversions(outside.conversions, outside.models, deployments, settings.conversion_timeout_s)
        ),
        conversions_pb2.DESCRIPTOR.services_by_name["ConversionService"],
    )
    service.add_background("conversions", runner.run)
    service.on_close(rooms.close)
