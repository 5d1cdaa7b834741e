"""The Arrow Flight edge: bearer tokens, the same errors as gRPC, signed tickets."""

from chassis.flight.call import Answer, FlightCall, Message, Received
from chassis.flight.edge import FlightEdge, FlightWiring

__all__ = ["Answer", "FlightCall", "FlightEdge", "FlightWiring", "Message", "Received"]
