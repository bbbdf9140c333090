"""A Python that lacks packages which are installed."""

from __future__ import annotations

_ABSENT = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""


def without(*blocked: str) -> str:
    """A sitecustomize.py by which a Python takes these packages for not installed."""
    return _ABSENT.format(blocked=blocked)
