"""Orders of rows: pure functions of the rows, a seed and an epoch (README.md)."""

from services.dataset.orders.order import Order, Shuffle, Window, order_of, places_in

__all__ = ["Order", "Shuffle", "Window", "order_of", "places_in"]
