"""What an estimator answers under the instruction sets that ONEDNN_MAX_CPU_ISA allows; run as a program.

ONEDNN_MAX_CPU_ISA=SSE41 python -m tests.faults.isa_child MODEL [BACKEND]
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

import openvino as ov

from danet.embedded import PORTRAIT, PORTRAIT_BOX, embedded_model
from danet.estimator import PoseEstimator
from danet.frame import read_picture
from danet.scenes.scene import render_scene


def kernels(model: str) -> dict[str, int]:
    """How many operations of the compiled graph run in each kind of kernel, such as jit_avx2."""
    path = embedded_model(model) or model
    graph = ov.Core().read_model(path)
    graph.reshape({0: [1, *[one.get_length() for one in list(graph.input(0).partial_shape)[1:]]]})
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
    found = Counter(
        node.get_rt_info()["primitiveType"].astype(str).rsplit("_", 1)[0]
        for node in compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    )
    return dict(found)


def answers(model: str, backend: str | None) -> dict[str, Any]:
    """Keypoints and scores of the embedded portrait and of a rendered scene, and the time of the scene."""
    scene = render_scene(20, (240, 320), persons=1)
    with PoseEstimator(model, backend=backend, threads=1) as estimator:
        portrait = estimator.infer(read_picture(PORTRAIT), [PORTRAIT_BOX])
        start = time.perf_counter()
        others = estimator.infer(scene.image, scene.boxes)
        seconds = time.perf_counter() - start
    return {
        "keypoints": [*portrait.keypoints.tolist(), *others.keypoints.tolist()],
        "scores": [*portrait.scores.tolist(), *others.scores.tolist()],
        "boxes": [*portrait.boxes.tolist(), *others.boxes.tolist()],
        "seconds": seconds,
    }


if __name__ == "__main__":
    wanted = sys.argv[2] if len(sys.argv) > 2 else None
    told = {} if wanted else {"kernels": kernels(sys.argv[1])}
    print(json.dumps({**told, **answers(sys.argv[1], wanted)}))
