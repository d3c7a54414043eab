"""Models behind the tools: one backend interface, and one package per task."""

from vista_fast.models.backend import Backend, Model, Precision, available_backends, find_backend, open_model

__all__ = ["Backend", "Model", "Precision", "available_backends", "find_backend", "open_model"]
