"""What files hold, as JSON and (in ``convert``) as messages."""

from services.registry.versions.contents.facts import from_json, tensors_from_json, tensors_to_json, to_json, weight

__all__ = ["from_json", "tensors_from_json", "tensors_to_json", "to_json", "weight"]
