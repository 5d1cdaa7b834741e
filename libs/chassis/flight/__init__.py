"""The Arrow Flight edge: bearer tokens, the same errors as gRPC, signed tickets."""

from chassis.flight.edge import FlightCall, FlightEdge, FlightWiring

__all__ = ["FlightCall", "FlightEdge", "FlightWiring"]
