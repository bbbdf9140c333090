from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from danet.errors import BackendError, InputError
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet_network.checkpoint import save_checkpoint
from danet_network.model import DANet
from danet_network.runner import TorchRunner, open_checkpoint

SPEC = replace(ModelSpec("tiny"), input_size=(64, 96))


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)


def test_run_is_normalisation_and_network(tiny: DANet, images: NDArray[np.uint8]) -> None:
    heatmaps = TorchRunner(tiny, SPEC).run(images)
    pixels = (images.astype(np.float64) - SPEC.mean) / SPEC.std
    with torch.no_grad():
        expected = tiny.double()(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).numpy()
    assert (heatmaps.shape, heatmaps.dtype) == ((3, 17, 16, 24), np.float32)
    assert heatmaps.flags.c_contiguous
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-4, atol=1e-4)


def test_any_layout_of_pixels(tiny: DANet, images: NDArray[np.uint8]) -> None:
    runner = TorchRunner(tiny, SPEC)
    mirrored = runner.run(np.ascontiguousarray(images[:, :, ::-1]))
    np.testing.assert_array_equal(runner.run(images[:, :, ::-1]), mirrored)
    frozen = images.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(runner.run(frozen), runner.run(images))


def test_no_persons(tiny: DANet) -> None:
    assert TorchRunner(tiny, SPEC).run(np.empty((0, 64, 96, 3), np.uint8)).shape == (0, 17, 16, 24)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 64, 96, 3), np.float32),
        np.zeros((64, 96, 3), np.uint8),
        np.zeros((1, 3, 64, 96), np.uint8),
        np.zeros((1, 60, 96, 3), np.uint8),
        np.zeros((1, 0, 96, 3), np.uint8),
    ],
)
def test_wrong_input(tiny: DANet, images: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        TorchRunner(tiny, SPEC).run(images)


def test_a_closed_runner(tiny: DANet, images: NDArray[np.uint8]) -> None:
    runner = TorchRunner(tiny, SPEC)
    runner.close()
    runner.close()
    with pytest.raises(BackendError, match="closed"):
        runner.run(images)


def test_several_threads(tiny: DANet, images: NDArray[np.uint8]) -> None:
    runner = TorchRunner(tiny, SPEC)
    batches = [np.roll(images, shift, axis=1) for shift in range(16)]
    expected = [runner.run(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(runner.run, batches), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_open_checkpoint(tmp_path: Path, tiny: DANet, images: NDArray[np.uint8]) -> None:
    save_checkpoint(path := tmp_path / "tiny.safetensors", tiny, SPEC)
    before = torch.get_num_threads()
    try:
        runner = open_checkpoint(path, 1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert (runner.spec.input_size, runner.precision) == ((64, 96), "fp32")
    np.testing.assert_allclose(runner.run(images), TorchRunner(tiny, SPEC).run(images), rtol=1e-5, atol=1e-5)
    assert open_checkpoint(path, None).spec == runner.spec
    with pytest.raises(InputError, match="threads"):
        open_checkpoint(path, 0)


def test_a_given_spec_goes_before_the_files(tmp_path: Path, tiny: DANet, images: NDArray[np.uint8]) -> None:
    save_checkpoint(path := tmp_path / "tiny.safetensors", tiny, SPEC)
    given = replace(SPEC, mean=(127.5, 127.5, 127.5), std=(50.0, 60.0, 70.0))
    with PoseEstimator(path, spec=given) as estimator:
        found = estimator.heatmaps(images)
    np.testing.assert_allclose(found, TorchRunner(tiny, given).run(images), rtol=1e-4, atol=1e-4)
