"""A gRPC server over HTTP/2 in Python, on asyncio's own sockets; see docs/adr/0018."""
