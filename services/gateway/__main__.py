"""Wires the gateway."""

import asyncio

from chassis import Service, run
from chassis.auth import Authenticator, current_token
from headwater.client import Connection, Endpoints
from services.gateway.app import PUBLIC, application
from services.gateway.serving.calls import Addresses
from services.gateway.session import LOGIN
from services.gateway.settings import Settings


async def build(settings: Settings) -> Service:
    """The service, not yet started."""
    endpoints = Endpoints(
        registry=settings.registry_address,
        dataset=settings.dataset_address,
        dataset_flight=settings.dataset_flight_address,
        preprocessing=settings.preprocessing_address,
        training=settings.training_address,
        inference=settings.inference_address,
    )
    # Every call goes on in the name of who made it: the gateway itself may do nothing.
    connection = Connection(endpoints, current_token)

    async def close() -> None:
        await asyncio.to_thread(connection.close)

    auth = Authenticator.from_settings(settings.auth_key_file)
    service = Service("gateway", settings, auth=auth)
    told = Addresses(settings.told_inference_address, settings.told_inference_http_address)
    service.add_http(application(connection, auth, told), settings.http_port, public=PUBLIC, login_path=LOGIN)
    service.on_close(close)
    return service


if __name__ == "__main__":
    run(build, Settings)
