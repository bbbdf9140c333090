"""Versions in pyproject.toml, constraints.txt and the list of lowest versions agree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = {
    canonicalize_name(name): Version(version)
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
}
REQUIREMENTS = [Requirement(text) for texts in (PROJECT["dependencies"], *EXTRAS.values()) for text in texts]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_requirement(requirement: Requirement) -> None:
    """Has a lowest version, and the version that was tested is pinned and within the bounds."""
    if requirement.name == PROJECT["name"]:
        assert requirement.extras <= set(EXTRAS)
        return
    assert [one for one in requirement.specifier if one.operator == ">="], f"{requirement}: no lower bound"
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_lowest_versions_are_those_of_pyproject() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "lowest.py", "onnxruntime"], text=True, capture_output=True, check=True
    )
    found = {one.name: str(one.specifier) for one in map(Requirement, done.stdout.split())}
    assert set(found) == {"numpy", "opencv-python", "openvino", "rich", "onnxruntime"}
    for requirement in (Requirement(text) for text in [*PROJECT["dependencies"], *EXTRAS["onnxruntime"]]):
        (lowest,) = (one.version for one in requirement.specifier if one.operator == ">=")
        assert found[requirement.name] == f"=={lowest}"


def test_no_pin_twice() -> None:
    names = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) == len({canonicalize_name(name) for name in names})
