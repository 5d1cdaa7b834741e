"""The inference service: serves model versions over KServe v2 and records every answer."""
