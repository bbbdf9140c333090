"""Persons per second of model files on this CPU: `danet benchmark` as a script, from a clone."""

from __future__ import annotations

import sys

from danet.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
