"""What is embedded states its licence, and says the same wherever it says it."""

from __future__ import annotations

import hashlib
import tomllib

import pytest

from danet import embedded
from danet.backends.base import BackendOptions
from danet.backends.registry import load_model

from .conftest import ROOT

PORTRAIT_SHA256 = "370adb9cb9dd03ca911ea316fb227495e01095398bc1f71188a3995209b9c81a"
WEIGHTS = "LicenseRef-danet72-research-only"


def text(name: str) -> str:
    return " ".join((ROOT / name).read_text(encoding="utf-8").replace("**", "").split())


@pytest.fixture(
    params=["openvino", pytest.param("tflite", marks=pytest.mark.needs("ai_edge_litert"))],
)
def licence(request: pytest.FixtureRequest) -> str:
    """Of an embedded model, as its file states it."""
    path = embedded.embedded_model("danet72", request.param)
    assert path is not None
    loaded = load_model(path, request.param, BackendOptions(threads=1))
    loaded.backend.close()
    assert loaded.spec is not None
    return loaded.spec.licence


def test_the_embedded_weights(licence: str) -> None:
    """research only: the file itself, the model card, NOTICE, README and the wheel's licence expression."""
    assert licence.startswith("research only: trained on LSP and LSPET pictures")
    assert "Licence: research only. LSP and LSPET state no redistribution licence" in text("MODEL_CARD.md")
    assert licence in text("NOTICE")
    assert "embedded weights are for research" in text("README.md")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == f"Apache-2.0 AND {WEIGHTS}"
    assert WEIGHTS in text("NOTICE")


def test_the_embedded_portrait() -> None:
    """Another picture needs another licence."""
    assert hashlib.sha256(embedded.PORTRAIT.read_bytes()).hexdigest() == PORTRAIT_SHA256
    assert PORTRAIT_SHA256 in text("NOTICE")
    for name in ("NOTICE", "README.md", "sdk/danet/embedded/__init__.py"):
        assert "Eileen Collins" in text(name), name
        assert "public domain" in text(name), name


def test_every_embedded_file_is_in_notice() -> None:
    files = {path.name for path in embedded.PORTRAIT.parent.iterdir() if path.suffix not in (".py", "")}
    assert files
    assert not [name for name in sorted(files) if name not in text("NOTICE")]


@pytest.mark.parametrize("name", ["numpy", "opencv-python", "openvino", "rich"])
def test_what_the_default_install_brings_is_in_notice(name: str) -> None:
    assert name in text("NOTICE")


def test_the_default_install_is_what_notice_lists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [one.split(">")[0].split("=")[0].strip() for one in project["dependencies"]]
    assert sorted(names) == ["numpy", "opencv-python", "openvino", "rich"]
