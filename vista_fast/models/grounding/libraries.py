"""What Grounding DINO needs beside the libraries that run networks."""

from __future__ import annotations

from typing import Any

from vista_fast.errors import MissingExtraError


def transformers_class(name: str) -> Any:
    """A class of transformers. Raises MissingExtraError where it or torch is not installed, or can't be imported."""
    try:
        import torch  # noqa: F401
        import transformers

        return getattr(transformers, name)
    except (ImportError, OSError) as error:  # the latter for a library of torch's that can't be loaded
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None:
            raise MissingExtraError(
                "Grounding DINO needs torch and transformers, and what is installed can't be imported: "
                f"{error.__cause__ or error}; see whether `vista-fast doctor` says more, or install both anew: "
                "pip install --force-reinstall 'vista-fast[grounding]'"
            ) from error
        raise MissingExtraError(
            f"Grounding DINO needs {missing}, which is not installed: pip install 'vista-fast[grounding]'"
        ) from error
