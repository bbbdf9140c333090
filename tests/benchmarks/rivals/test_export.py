from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet.scenes.scene import Scene
from danet_benchmarks.rivals.export import export_rival, rival_spec
from danet_benchmarks.rivals.registry import RIVALS, build_rival
from danet_converters.export import TARGETS, Exported
from danet_network.runner import TorchRunner

NAME = "mspn-r18"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_rival(NAME, TARGETS[1], tmp_path_factory.mktemp("rivals"))


@pytest.mark.long
def test_file_and_parity(exported: Exported) -> None:
    assert {path.name for path in exported.path.parent.iterdir()} == {f"{NAME}.xml", f"{NAME}.bin"}
    assert exported.parity.heatmaps < 1e-4
    assert exported.parity.moved == 0


@pytest.mark.long
def test_estimator_runs_the_file_as_torch_runs_the_network(exported: Exported, scene: Scene) -> None:
    spec = rival_spec(NAME)
    with (
        PoseEstimator(exported.path, threads=1) as estimator,
        PoseEstimator(NAME, spec=spec, backend=TorchRunner(build_rival(NAME), spec)) as reference,
    ):
        assert estimator.spec == spec
        found, expected = (one.infer(scene.image, scene.boxes) for one in (estimator, reference))
    assert len(found) == len(scene.boxes)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


@pytest.mark.long
def test_file_says_that_its_weights_are_random(exported: Exported) -> None:
    with PoseEstimator(exported.path) as estimator:
        spec = estimator.spec
    assert (spec.name, spec.preset, spec.metrics, spec.source_sha256) == (NAME, "rival", (), None)
    assert "random weights" in spec.licence
    assert "random weights" in spec.training_data


@pytest.mark.slow
@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.format}-{target.precision}")
def test_every_rival_in_every_format(name: str, target: object, tmp_path: Path) -> None:
    assert isinstance(target, type(TARGETS[0]))
    done = export_rival(name, target, tmp_path)
    expected = replace(rival_spec(name), precision=target.precision)
    if target.format == "onnx":
        (entry,) = onnx.load(done.path).metadata_props
        assert ModelSpec.from_json(entry.value) == expected
    with PoseEstimator(done.path) as estimator:
        assert estimator.spec == expected
