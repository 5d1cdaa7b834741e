"""Calls to a gRPC edge that no generated stub would make, and what a clean error is."""

import re
from collections.abc import Sequence

import grpc.aio
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

_LEAKS = re.compile(
    r"Traceback|File \"|\.py\b|/(home|root|tmp|usr|app|var)/|\b(SELECT|INSERT|UPDATE|DELETE) |asyncpg|sqlalchemy"
)


async def call_raw(
    address: str,
    method: str,
    body: bytes = b"",
    *,
    metadata: Sequence[tuple[str, str]] = (),
    token: str = "",
    compression: grpc.Compression | None = None,
    timeout: float = 10,
) -> grpc.aio.AioRpcError | None:
    """Send ``body`` as it is to ``method`` (``/package.Service/Method``) and return the error, or None if it succeeds.

    With an empty ``token`` no credentials are sent.
    """
    sent = [*metadata, *([("authorization", f"Bearer {token}")] if token else [])]
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_metadata_size", 2**20)]) as channel:
        try:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            await call(body, metadata=sent, compression=compression, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return error
    return None


def clean_error(error: grpc.RpcError | None) -> ErrorInfo:
    """Check that ``error`` is what promise 16 says and return its ErrorInfo.

    It has exactly one ``ErrorInfo`` of domain ``headwater`` with a reason, and neither a stack, nor a path, nor SQL.
    """
    assert isinstance(error, grpc.aio.AioRpcError | grpc.Call), f"expected an error of the service, got {error!r}"
    text = error.details() or ""
    assert not _LEAKS.search(text), f"the error says too much: {text}"
    details = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    assert details, f"the error has no details: {error.code()} {text}"
    status = Status.FromString(details[0])
    infos = []
    for detail in status.details:
        assert not _LEAKS.search(str(detail)), f"the error says too much: {detail}"
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info = ErrorInfo()
            detail.Unpack(info)
            infos.append(info)
    assert len(infos) == 1, f"the error has {len(infos)} ErrorInfo instead of one"
    assert infos[0].domain == "headwater"
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", infos[0].reason), infos[0].reason
    return infos[0]
