"""The six services. They meet only through gRPC and Flight; none imports another."""
