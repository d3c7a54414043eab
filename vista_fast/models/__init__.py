"""Models behind the tools: one backend interface, and one package per task."""

from vista_fast.models.backend import Backend, Precision, Session, available_backends, find_backend

__all__ = ["Backend", "Precision", "Session", "available_backends", "find_backend"]
