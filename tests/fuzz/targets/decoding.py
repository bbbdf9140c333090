"""Heatmaps of any numbers: NaN, infinity, denormals, plateaus, every size that a spec allows."""

from __future__ import annotations

import numpy as np

from danet.decode import average_flipped, decode
from danet.model_spec import DecoderSpec, ModelSpec
from tests.fuzz.reading import ODD_NUMBERS, Bytes

WORDS = tuple(np.float32(one).tobytes() for one in np.clip(ODD_NUMBERS, -3.4e38, 3.4e38))
_DECODERS = (
    DecoderSpec(),
    DecoderSpec(blur_kernel=1, heatmap_peak=1e-6, flip_shift=1),
    DecoderSpec(blur_kernel=63, heatmap_peak=1e6, offsets=(0.35, 0.15, 0.05)),
    DecoderSpec(offsets=(8.0, -8.0, 1e-300, 0.0, 1.0, 1.0, 1.0, 1.0)),
    DecoderSpec(offsets=(), refinement="dark"),
    DecoderSpec(offsets=(), refinement="dark", blur_kernel=1),
    DecoderSpec(offsets=()),
)
_SIZES = ((64, 48), (16, 16), (64, 64), (256, 192), (16, 128))
_STRIDES = (4, 1, 2, 8, 16)
_HALF = DecoderSpec().offsets


def seeds() -> dict[str, bytes]:
    """Each decoder and size, with maps of each odd number and with ramps."""
    made = {}
    for decoder in range(len(_DECODERS)):
        for odd in range(0, len(WORDS), 4):
            made[f"odd-{decoder}-{odd}"] = bytes([decoder, odd % 5, odd % 5, 1, 0, 3, 0, 12, 0]) + b"".join(
                WORDS[odd : odd + 4]
            )
    return made | {"ramp": bytes([0, 0, 0, 1, 0, 5, 0, 255, 1]) + np.linspace(-1, 1, 128, dtype=np.float32).tobytes()}


def run(data: bytes) -> None:
    """Keypoints are finite and near the map; scores lie in 0..1; the flip test too."""
    read = Bytes(data)
    decoder, size = read.choice(_DECODERS), read.choice(_SIZES)
    stride = read.choice(_STRIDES)
    spec = ModelSpec("a", input_size=size, stride=stride if size[0] // stride <= 64 else 4, decoder=decoder)
    persons, keypoints = read.integer(0, 3), read.integer(1, 17)
    spec = ModelSpec(
        "a", input_size=size, stride=spec.stride, decoder=decoder, flip_pairs=(), skeleton=(),
        keypoints=tuple(map(str, range(keypoints))),
    )  # fmt: skip
    heatmaps = read.array(np.float32, (persons, keypoints, *spec.heatmap_size)).copy()
    for _ in range(read.integer(0, 8)):
        heatmaps.reshape(-1)[read.integer(0, max(heatmaps.size - 1, 0)) :][:1] = read.array(np.float32, (1,))
    for maps in (heatmaps, average_flipped(heatmaps, heatmaps[::-1], spec)):
        points, scores = decode(maps, spec)
        assert points.shape == (persons, keypoints, 2)
        assert np.isfinite(points).all()
        limit = (np.array(spec.input_size[::-1]) + spec.stride * sum(map(abs, (*decoder.offsets, 2)))).astype(
            np.float32
        )
        assert (np.abs(points) <= limit).all()
        assert ((scores >= 0) & (scores <= 1)).all()
