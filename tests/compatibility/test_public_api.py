from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from .public_api import describe

PINNED = Path(__file__).with_name("public_api.txt")
ADVICE = """The public face is not what public_api.txt says. If that is on purpose:
  - a name, argument or option that goes or changes: CONTRIBUTING.md, "What users may rely on" (deprecate it first)
  - either way: a line in CHANGELOG.md, and
    python -m tests.compatibility.public_api > tests/compatibility/public_api.txt"""


@pytest.mark.needs("torch", "ai_edge_litert")
def test_the_public_face_is_as_pinned() -> None:
    pinned = PINNED.read_text(encoding="utf-8").rstrip().splitlines()
    found = "\n".join(describe()).rstrip().splitlines()
    difference = "\n".join(difflib.unified_diff(pinned, found, "public_api.txt", "found", lineterm="", n=1))
    assert pinned == found, f"{ADVICE}\n\n{difference}"


def test_what_is_pinned_without_extras() -> None:
    """On a camera app's installation, of whatever Python: what can be described is as pinned."""
    pinned = set(PINNED.read_text(encoding="utf-8").splitlines())
    assert not [line for line in describe() if line not in pinned], ADVICE
