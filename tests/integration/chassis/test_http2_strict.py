"""A client that checks every frame against RFC 9113 (python-hyper's h2) finds nothing wrong with what is sent."""

import asyncio

import h2.config
import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes

from tests.integration.chassis.http2_peer import HEAD, Served, prefixed


class Strict:
    """One connection of h2's; what comes on each stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: dict[int, int]) -> None:
        self.reader, self.writer = reader, writer
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        if settings:
            self.http.update_settings(settings)
        self.data: dict[int, bytes] = {}
        self.headers: dict[int, dict[str, str]] = {}
        self.ended: set[int] = set()

    def call(self, number: int, path: str, message: bytes) -> None:
        """Make a call, as far as the windows let it go out at once."""
        self.http.send_headers(number, [(":authority", "tests"), (":path", path), *HEAD])
        self.http.send_data(number, prefixed(message), end_stream=True)

    async def until_ended(self, *numbers: int) -> None:
        """Read, and open the windows again, until these streams have ended."""
        async with asyncio.timeout(20):
            while not self.ended.issuperset(numbers):
                assert await self.read(), "the server ended the connection"

    async def read(self) -> bool:
        """Read and answer once; False when the connection has ended."""
        self.writer.write(self.http.data_to_send())
        received = await self.reader.read(2**16)
        if self.http.state_machine.state is h2.connection.ConnectionState.CLOSED:
            return bool(await self.reader.read())  # after a goodbye h2 understands nothing more
        for event in self.http.receive_data(received):
            self._see(event)
        self.writer.write(self.http.data_to_send())
        return bool(received)

    def _see(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            self.headers.setdefault(event.stream_id, {}).update(
                {str(name): str(value) for name, value in event.headers}
            )
        elif isinstance(event, h2.events.DataReceived):
            self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
            self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        else:
            assert not isinstance(event, h2.events.StreamReset), event


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {SettingCodes.INITIAL_WINDOW_SIZE: 1},
        {SettingCodes.INITIAL_WINDOW_SIZE: 2**20, SettingCodes.MAX_FRAME_SIZE: 2**20},
        {SettingCodes.HEADER_TABLE_SIZE: 0, SettingCodes.MAX_CONCURRENT_STREAMS: 3, SettingCodes.ENABLE_PUSH: 0},
        {SettingCodes.HEADER_TABLE_SIZE: 65_536},
    ],
    ids=["as they are", "a window of one byte", "wide", "no table", "a large table"],
)
async def test_a_strict_client_finds_nothing_wrong(settings: dict[int, int]) -> None:
    served = Served()
    await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    client = Strict(reader, writer, settings)
    await client.read()  # what the server takes, before the first call
    size = 300 if settings.get(SettingCodes.INITIAL_WINDOW_SIZE) == 1 else 60_000
    for number in range(1, 20, 2):
        client.call(number, "/tests.Echo/Echo", bytes([number]) * (size // number))
    client.call(21, "/tests.Echo/Count", b"12345")
    client.call(23, "/tests.Echo/Nothing", b"")
    await client.until_ended(*range(1, 24, 2))
    for number in range(1, 20, 2):
        assert client.data[number] == prefixed(bytes([number]) * (size // number))
        assert client.headers[number]["grpc-status"] == "0"
    assert client.data[21] == prefixed(b"5")
    assert client.headers[23]["grpc-status"] == "12"
    if size > 300:
        client.call(25, "/tests.Echo/Give", b"20")
        await client.until_ended(25)
        assert len(client.data[25]) == 20 * 100_005
    client.http.close_connection()
    assert not await client.read(), "the server has nothing more to say to who says goodbye, and ends the connection"
    writer.close()
    await asyncio.wait_for(served.server.stop(5), 5)
