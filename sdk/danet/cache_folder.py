"""Where danet keeps what it can make again: the user's cache folder."""

from __future__ import annotations

import os
import platform
from pathlib import Path

VARIABLE = "DANET_CACHE_DIR"
"""Environment variable that names another folder, for compiled graphs and tunings; a relative
one is of the working directory, ~ is the home; empty: neither is kept or read."""


def cache_folder() -> Path | None:
    """The folder, which may not exist yet; None where the user has no home, or wants none."""
    own = os.environ.get(VARIABLE)
    if own is not None:
        return Path(os.path.expanduser(own)).absolute() if own else None  # noqa: PTH111 -- Path's raises for an unknown ~user
    named = os.environ.get("LOCALAPPDATA" if platform.system() == "Windows" else "XDG_CACHE_HOME", "")
    if Path(named).is_absolute():  # the XDG specification: a relative one is to be ignored
        return Path(named) / "danet"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if platform.system() == "Darwin" else ".cache") / "danet"
