"""The lowest versions that pyproject.toml admits, as requirements: python .ci/lowest.py [EXTRA ...] > lowest.txt."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lowest(extras: list[str]) -> Iterator[str]:
    """Of the default install and of extras, whose extras of danet-edge itself are left out."""
    texts = [*PROJECT["dependencies"], *(text for name in extras for text in PROJECT["optional-dependencies"][name])]
    for requirement in map(Requirement, texts):
        if requirement.name != PROJECT["name"]:
            (bound,) = (one.version for one in requirement.specifier if one.operator == ">=")
            yield f"{requirement.name}=={bound}"


if __name__ == "__main__":
    print("\n".join(lowest(sys.argv[1:])))
