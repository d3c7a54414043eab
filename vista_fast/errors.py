"""Typed errors. Each message says what was wrong, the value, and what to do."""

from __future__ import annotations


class VistaError(Exception):
    """Base of every error that vista_fast raises."""


class InvalidArgumentError(VistaError, ValueError):
    """An argument is of the wrong type or range."""


class NotFoundError(VistaError, LookupError):
    """An Op, an image hash or a file that is not there."""


class EngineClosedError(VistaError, RuntimeError):
    """The engine is closed, or was carried across a fork."""


class ResourceExhaustedError(VistaError, MemoryError):
    """A limit (pixels, bytes, queue) would be passed."""


class DeadlineExceededError(VistaError, TimeoutError):
    """A call's hard deadline passed before it completed."""


class AbortedError(VistaError, RuntimeError):
    """Infrastructure failed while a call was outstanding: a lost puller, a closing engine. The call may be retried."""


class OpError(VistaError, RuntimeError):
    """An Op failed or broke its contract (raised, returned the wrong number of results)."""


class MissingExtraError(VistaError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""


class StorageError(VistaError, OSError):
    """A file of a run could not be written whole: the disk is full, or a limit on sizes is reached."""
