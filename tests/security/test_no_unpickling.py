"""The sources hold no call that runs what a file says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("sdk", "evaluation", "network", "training", "converters", "calibration", "benchmarks", "examples")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
OWN_CHILD = "converters/danet_converters/tflite_conversion.py"
"""Unpickles what its own parent process wrote, a moment ago, into a temporary folder of mode 0700."""


def findings(tree: ast.AST) -> Iterator[str]:
    """What runs code of a file's choosing, or might."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {one.name}" for one in node.names if one.name.split(".")[0] in UNPICKLERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLERS:
            yield f"import {node.module}"
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {one.arg: ast.unparse(one.value) for one in node.keywords}
            if name in ("eval", "exec", "__import__", "os.system", "os.popen", "subprocess.getoutput"):
                yield name
            elif name == "torch.load" and options.get("weights_only") != "True":
                yield "torch.load without weights_only"
            elif name == "np.load" and options.get("allow_pickle", "False") != "False":
                yield "np.load of pickles"
            elif options.get("shell", "False") != "False":
                yield "a shell"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from yaml import load",
        "eval(x)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x, allow_pickle=True)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
    ],
)
def test_the_search_finds(text: str) -> None:
    assert list(findings(ast.parse(text)))


def test_no_source_unpickles_or_evaluates() -> None:
    assert len(SOURCES) > 150
    found = {
        str(path.relative_to(ROOT)): told
        for path in SOURCES
        if (told := list(findings(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == {OWN_CHILD: ["torch.load without weights_only"]}
