"""PyInstaller's hook for danet; PyInstaller finds it by the entry point `pyinstaller40`."""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """The folders where PyInstaller looks for this package's hooks."""
    return [str(Path(__file__).parent)]
