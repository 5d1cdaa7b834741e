"""The two fronts that answer predictions."""

from tritonclient.grpc import service_pb2_grpc

from chassis import Service
from chassis.clock import Clock
from services.inference.deployments.deployments import Deployments
from services.inference.deployments.serving import Serving
from services.inference.kserve.about import About
from services.inference.kserve.http.errors import tell
from services.inference.kserve.http.front import Front
from services.inference.kserve.http.handlers import Handlers
from services.inference.kserve.repository import Repository
from services.inference.kserve.servicer import DESCRIPTOR, ROLES, InferenceServicer
from services.inference.kserve.shared_memory import Regions
from services.inference.kserve.wire import CODEC
from services.inference.predictor import Predictor
from services.inference.records.recorder import Recorder
from services.inference.settings import Settings


def add_protocol(
    service: Service,
    settings: Settings,
    clock: Clock,
    predictor: Predictor,
    serving: Serving,
    recorder: Recorder,
    deployments: Deployments,
) -> None:
    """The Open Inference Protocol over gRPC and over HTTP."""
    regions = Regions(settings.shared_memory_prefixes.split(","))
    about = About(serving, recorder, regions, settings.server_name)
    repository = Repository(deployments, serving)
    service.add_servicer(
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server,
        InferenceServicer(predictor, about, repository, regions, clock),
        DESCRIPTOR,
        roles=ROLES,
        codecs={"ModelInfer": CODEC},
    )
    front = Front(
        Handlers(predictor, about, repository, regions, clock),
        max_body_bytes=settings.max_message_bytes,
        max_requests=settings.max_concurrent_calls,
    )
    service.add_http(front, settings.http_port, tell=tell, cancels=True)
