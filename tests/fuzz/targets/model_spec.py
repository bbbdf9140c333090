"""The JSON of a ModelSpec, as each model file carries it."""

from __future__ import annotations

import json
from dataclasses import replace

from danet.keypoints import MPII_KEYPOINTS
from danet.model_spec import DecoderSpec, Metric, ModelSpec

SPEC = ModelSpec("tiny", metrics=(Metric("AP", 0.25, "nowhere/val", "made up"),), licence="CC0")
WORDS = tuple(f'"{name}"'.encode() for name in (*json.loads(SPEC.to_json()), *json.loads(SPEC.to_json())["decoder"]))


def seeds() -> dict[str, bytes]:
    """Specs that are read, and the usual ways to go wrong."""
    plain = SPEC.to_json()
    dark = replace(SPEC, decoder=DecoderSpec(refinement="dark", offsets=()))
    texts = {
        "plain": plain,
        "least": '{"name":"a"}',
        "dark": dark.to_json(),
        "mpii": ModelSpec("m", keypoints=MPII_KEYPOINTS, flip_pairs=((0, 5),), skeleton=((0, 1),)).to_json(),
        "newer-format": plain.replace('"format_version":1', '"format_version":99'),
        "key-twice": '{"name":"a","name":"b"}',
        "deep-lists": '{"name":' + "[" * 3000 + "]" * 3000 + "}",
        "deep-objects": '{"decoder":' * 2000 + "1" + "}" * 2000,
        "nan": plain.replace("1.25", "NaN"),
        "huge-number": plain.replace("1.25", "1" + "0" * 400),
        "digits": '{"name":"a","stride":' + "9" * 5000 + "}",
        "surrogate": '{"name":"\\ud800"}',
        "path-for-a-name": '{"name":"../../etc/passwd"}',
        "list": "[1, 2]",
        "null-in-a-name": '{"name":"a\\u0000b"}',
    }
    return {name: text.encode() for name, text in texts.items()}


def run(data: bytes) -> None:
    """Read; what is read comes back the same from what it writes."""
    spec = ModelSpec.from_json(data.decode("utf-8", "surrogateescape"))
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert sorted(spec.flip_order) == list(range(len(spec.keypoints)))
    assert min(spec.heatmap_size) >= 1
