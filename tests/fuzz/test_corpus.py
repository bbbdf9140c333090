"""Every kept input through its target, and a short run of new ones, the same each time."""

from __future__ import annotations

import contextlib
from itertools import islice

import pytest

from danet.errors import DanetError
from tests.fuzz.guard import check, prepare
from tests.fuzz.mutation import mutated
from tests.fuzz.target import CORPUS, NAMES, Target, load_target

INPUTS = 150
FEW = {"crops": 60, "ir_file": 25, "onnx_file": 25, "train_config": 40, "zoo": 4}
"""Of targets that take long for an input."""
SEED = 8
LARGEST = 4096
"""Bytes of a kept file."""


@pytest.fixture(scope="module", params=NAMES)
def target(request: pytest.FixtureRequest) -> Target:
    """Each target, warm: what is imported and allocated on first use is no input's fault."""
    try:
        found = load_target(request.param)
    except ImportError as error:
        pytest.skip(f"needs {error.name}, which is not installed")
    prepare()
    for data in islice(found.seeds.values(), 2):
        with contextlib.suppress(DanetError):
            found.run(data)
    return found


def test_kept_inputs(target: Target) -> None:
    found = {name: check(target.run, data) for name, data in target.corpus().items()}
    assert {name: finding for name, finding in found.items() if finding} == {}


def test_new_inputs(target: Target) -> None:
    inputs = mutated(list(target.corpus().values()), target.words, target.max_length, SEED)
    for data in islice(inputs, FEW.get(target.name, INPUTS)):
        assert check(target.run, data) is None, data


def test_some_seeds_are_taken(target: Target) -> None:
    """A target that refuses all would look at nothing behind its first check."""

    def taken(data: bytes) -> bool:
        try:
            target.run(data)
        except DanetError:
            return False
        return True

    assert any(taken(data) for data in target.seeds.values())


def test_the_corpus_is_small_and_belongs_to_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(NAMES)
    assert max(path.stat().st_size for path in files) <= LARGEST
