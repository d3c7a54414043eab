"""The command line: ``vista-fast train | sft | rollout | eval | report | bench | doctor``.

Each command is a module with ``add_arguments(parser)`` and ``run(options) -> exit code``; what it needs is imported in
``run``, so that ``--help`` answers at once. ``exits`` says what each exit code means.
"""

from vista_fast.cli.main import main

__all__ = ["main"]
