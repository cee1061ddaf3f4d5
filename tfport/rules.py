"""Makes the rules folder importable as ``tfport.rules.<file>``.

In a checkout the rules stand beside the package (``rules/``); the wheel carries them inside it
(``tfport/_rules/``). Setting ``__path__`` turns this module into a package whose submodules live there.
"""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """The folder that holds the rule files, in a checkout or in an installed wheel."""
    package = Path(__file__).resolve().parent
    shipped = package / "_rules"
    return shipped if shipped.is_dir() else package.parent / "rules"


__path__ = [str(folder())]
