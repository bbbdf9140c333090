"""What an app does with an ONNX file and no SDK: the yardstick of the speed promises."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from danet.model_spec import SPEC_KEY, ModelSpec


class NaivePose:
    """One `session.run` to a frame, and a decoder that loops over persons and keypoints.

    Written as the demos of public pose networks are: crops are stacked, each heatmap is blurred by OpenCV, its highest
    cell found and moved a quarter toward the second-highest, or as DARK's public code does. ONNX Runtime gets the same
    threads, and is left as it is otherwise. The keypoints are those of `PoseEstimator`.

    Args:
        path: an ONNX file that `danet convert` wrote.
        threads: of ONNX Runtime and OpenCV.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        cv2.setNumThreads(threads)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.spec = ModelSpec.from_json(self._session.get_modelmeta().custom_metadata_map[SPEC_KEY])

    def infer(self, frame: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
        """Keypoints (N, K, 3), x, y in frame pixels and score, of a frame (H, W, 3) uint8 BGR and boxes (N, 4) xyxy."""
        crops, scales = [], []
        for box in boxes:
            crop, affine = self._crop(frame, box)
            crops.append(crop)
            scales.append(affine)
        heatmaps = self._session.run(None, {self._input: np.stack(crops)})[0]
        return np.array([self._decode(maps, affine) for maps, affine in zip(heatmaps, scales, strict=True)])

    def _crop(
        self, frame: NDArray[np.uint8], box: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        height, width = self.spec.input_size
        x0, y0, x1, y1 = (float(edge) for edge in box)
        wide = max((x1 - x0) * self.spec.box_padding, (y1 - y0) * self.spec.box_padding * width / height)
        scale = width / wide
        affine = np.array(
            [
                [scale, 0, width / 2 - 0.5 - scale * ((x0 + x1) / 2 - 0.5)],
                [0, scale, height / 2 - 0.5 - scale * ((y0 + y1) / 2 - 0.5)],
            ]
        )
        mean = [round(value) for value in self.spec.mean]
        crop = cv2.warpAffine(frame, affine, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=mean)
        return np.asarray(crop, np.uint8), affine

    def _decode(self, heatmaps: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float64]:
        decoder, found = self.spec.decoder, []
        side = decoder.blur_kernel
        for heatmap in heatmaps:
            blurred = cv2.GaussianBlur(heatmap, (side, side), 0, borderType=cv2.BORDER_CONSTANT)
            row, column = np.unravel_index(np.argmax(blurred), blurred.shape)
            score = float(np.clip(heatmap[row, column] / decoder.heatmap_peak, 0, 1))
            place = np.array((column, row), np.float64)
            if decoder.refinement == "dark":
                place += _to_the_top(blurred, int(row), int(column))
            for offset in decoder.offsets:
                blurred[row, column] = -np.inf
                row, column = np.unravel_index(np.argmax(blurred), blurred.shape)
                way = np.array((column, row)) - place
                if (length := float(np.hypot(*way))) > 1e-3:
                    place += offset * way / length
            x, y = ((place + 0.5) * self.spec.stride - 0.5 - affine[:, 2]) / affine[0, 0]
            found.append((x, y, score))
        return np.array(found)


def _to_the_top(blurred: NDArray[np.float32], row: int, column: int) -> NDArray[np.float64]:
    """DARK's step (2,) from a cell to the top of the Gaussian around it, in cells."""
    height, width = blurred.shape
    r, c = min(max(row, 1), height - 2), min(max(column, 1), width - 2)  # a peak on the rim is seen from beside it
    logs = np.log(np.maximum(blurred[r - 1 : r + 2, c - 1 : c + 2].astype(np.float64), 1e-10))
    slope = np.array((logs[1, 2] - logs[1, 0], logs[2, 1] - logs[0, 1])) / 2
    twist = (logs[2, 2] - logs[2, 0] - logs[0, 2] + logs[0, 0]) / 4
    bend = np.array(
        ((logs[1, 2] - 2 * logs[1, 1] + logs[1, 0], twist), (twist, logs[2, 1] - 2 * logs[1, 1] + logs[0, 1]))
    )
    if np.linalg.det(bend) <= 0:
        return np.zeros(2)
    step = np.array((c - column, r - row)) - np.linalg.solve(bend, slope)
    return np.asarray(np.clip(step, -1, 1), np.float64)
