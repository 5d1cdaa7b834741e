"""Ports of the local stack."""

import dataclasses
import socket
from pathlib import Path

from deploy.local.programs import PROGRAMS, addresses, endpoints, free_ports, standard_ports
from deploy.ports import HOST, free, taken
from headwater.client import Endpoints


def test_the_standard_ports_are_those_that_the_client_expects() -> None:
    told = Endpoints(**endpoints(standard_ports(), Path("/home/ada/.headwater")))
    assert dataclasses.replace(told, dataset_flight_socket="") == Endpoints()


def test_the_client_is_told_of_a_socket_where_its_path_is_not_too_long() -> None:
    near, deep = Path("/home/ada/.headwater"), Path("/") / ("d" * 100)
    assert endpoints(standard_ports(), near)["dataset_flight_socket"] == f"{near}/sockets/dataset_flight_socket"
    assert endpoints(standard_ports(), deep)["dataset_flight_socket"] == ""


def test_every_service_is_told_where_the_others_are() -> None:
    told = addresses(standard_ports())
    assert told["dataset_flight_address"] == "127.0.0.1:50062"
    assert len(told) == sum(len(program.told_as) for program in PROGRAMS)


def test_free_ports_are_all_different_and_not_taken() -> None:
    chosen = [port for ports in free_ports().values() for port in ports.values()]
    assert len(set(chosen)) == len(chosen)
    assert taken(chosen) == []


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        (other,) = free(1)
        assert taken([port, other]) == [port]
