"""What `make up` and `make status` print."""

from deploy.local.programs import standard_ports
from deploy.local.screen import addresses


def test_every_port_says_what_is_spoken_there() -> None:
    ports = standard_ports()
    assert addresses(ports["inference"]) == "127.0.0.1  grpc :50055  http :50065  flight :50075  admin :51055"
    assert addresses(ports["gateway"]) == "127.0.0.1  http :9000  grpc :50056  admin :51056"
