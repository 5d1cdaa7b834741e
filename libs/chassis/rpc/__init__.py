"""The gRPC edge: the server, what happens around every call, the error table, the client channel."""
