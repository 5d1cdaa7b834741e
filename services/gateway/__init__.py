"""The gateway: HTTP in, gRPC out. It owns nothing."""
