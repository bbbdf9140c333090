"""The bill of materials of a default install says what the wheel says. RELEASE.md has the command."""

from __future__ import annotations

import json
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow
INDIRECT = {"openvino-telemetry", "markdown-it-py", "mdurl", "pygments"}
"""What the direct dependencies bring."""


@pytest.fixture(scope="module")
def sbom(dist: Path) -> dict[str, Any]:
    path = dist / "danet-edge.cdx.json"
    if not path.is_file():
        pytest.skip(f"{path} is absent; bash .ci/release makes it")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_top_level_is_what_the_wheel_declares(sbom: dict[str, Any], metadata: Message) -> None:
    names = {one["bom-ref"]: canonicalize_name(one["name"]) for one in sbom["components"]}
    root = sbom["metadata"]["component"]
    assert (root["name"], root["version"]) == (metadata["Name"], metadata["Version"])
    (depends,) = (one["dependsOn"] for one in sbom["dependencies"] if one["ref"] == root["bom-ref"])
    declared = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    direct = {canonicalize_name(one.name) for one in declared if one.marker is None}
    assert {names[one] for one in depends} == direct
    assert set(names.values()) == direct | INDIRECT


def test_versions_are_within_the_wheels_bounds(sbom: dict[str, Any], metadata: Message) -> None:
    versions = {canonicalize_name(one["name"]): one["version"] for one in sbom["components"]}
    for requirement in map(Requirement, metadata.get_all("Requires-Dist", [])):
        if requirement.marker is None:
            assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_every_component_states_a_licence(sbom: dict[str, Any]) -> None:
    assert [one["name"] for one in sbom["components"] if not one.get("licenses")] == []
    assert sbom["metadata"]["component"]["licenses"]
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
