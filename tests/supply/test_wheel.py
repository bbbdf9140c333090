"""The wheel and the sdist hold what belongs into them, and nothing else."""

from __future__ import annotations

import configparser
import hashlib
import importlib
import re
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest

from .conftest import ROOT, listed_files

pytestmark = pytest.mark.slow

SOURCES = ("sdk", "evaluation", "network", "training", "converters", "calibration", "benchmarks")
EMBEDDED = {f"danet/embedded/{name}" for name in ("danet72.bin", "danet72.tflite", "danet72.xml", "portrait.jpg")}
DATA = EMBEDDED | {"danet/py.typed"} | {f"danet_benchmarks/report/page/page.{suffix}" for suffix in ("css", "html")}
MAX_WHEEL_BYTES = 15_000_000
"""13.1 MB on 2026-11-25, of which 12.8 are the two embedded models."""
MAX_IR_BYTES = 8_000_000
SDIST_EXTRAS = {
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "MODEL_CARD.md", "NOTICE", "PKG-INFO", "README.md",
    "SECURITY.md", "benchmarks/cpu_pps.py", "constraints.txt", "pyproject.toml", "setup.cfg", "training/RUNS.md",
}  # fmt: skip
SDIST_FOLDERS = re.compile(r"(docs|examples|training/configs)/|benchmarks/results/.*\.md$")
"""What README and docs lead to."""


def modules() -> dict[str, Path]:
    """Names in the wheel of all modules of the checkout."""
    found = {}
    for name in listed_files():
        root, _, inside = name.partition("/")
        if root in SOURCES and inside.startswith("danet") and inside.endswith(".py"):
            found[inside] = ROOT / name
    return found


def test_contents(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if not name.endswith("/")}
    information = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - information == set(modules()) | DATA
    assert {name.split("/", 1)[1] for name in information} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE", "top_level.txt",
    }  # fmt: skip


def test_every_file_is_the_checkouts(wheel: zipfile.ZipFile) -> None:
    kept = modules() | {name: ROOT / ("benchmarks" if "benchmarks" in name else "sdk") / name for name in DATA}
    for name, path in kept.items():
        assert hashlib.sha256(wheel.read(name)).digest() == hashlib.sha256(path.read_bytes()).digest(), name


def test_sizes(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename is not None
    assert Path(wheel.filename).stat().st_size < MAX_WHEEL_BYTES
    ir = sum(wheel.getinfo(f"danet/embedded/danet72.{suffix}").file_size for suffix in ("xml", "bin"))
    assert ir <= MAX_IR_BYTES


def test_one_wheel_for_all_systems(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename is not None
    assert wheel.filename.endswith("-py3-none-any.whl")


def test_entry_points_lead_somewhere(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    groups = configparser.ConfigParser()
    groups.read_string(wheel.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = {**project["entry-points"], "console_scripts": project["scripts"]}
    assert {group: dict(groups[group]) for group in groups.sections()} == stated
    for target in (target for points in stated.values() for target in points.values()):
        module, _, attribute = target.partition(":")
        path = module.replace(".", "/")
        assert {f"{path}.py", f"{path}/__init__.py"} & set(wheel.namelist())
        assert hasattr(importlib.import_module(module), attribute), target


def test_metadata(metadata: Message) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (metadata["Name"], metadata["Version"]) == (project["name"], project["version"])
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["License-Expression"] == project["license"]
    assert metadata.get_all("License-File") == project["license-files"]


def test_sdist(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)  # no links
    names = {str(PurePosixPath(*PurePosixPath(one.name).parts[1:])) for one in members if one.isfile()}
    told = SDIST_EXTRAS | {name for name in listed_files() if SDIST_FOLDERS.match(name)}
    sources = {name for name in names - told if name.split("/")[0] in SOURCES}
    assert {name.split("/", 1)[1] for name in sources} == set(modules()) | DATA
    assert {name for name in names - sources if not re.match(r"danet_edge\.egg-info/", name)} == told
    for name in ("README.md", "MODEL_CARD.md", "SECURITY.md"):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8"))
        assert links or name != "README.md"
        assert set(links) <= names
