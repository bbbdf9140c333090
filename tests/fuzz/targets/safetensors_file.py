"""A .safetensors checkpoint: its header's JSON with the config and spec in it, before tensors of zeros.

An input that begins with a brace is a header, to which length and tensors are added; any other is a whole file.
"""

from __future__ import annotations

import json
from typing import Any

from danet.model_spec import SPEC_KEY, ModelSpec
from danet_network.checkpoint import CONFIG_KEY, load_checkpoint
from danet_network.config import DANetConfig
from danet_network.weights import expected_shapes
from tests.fuzz.reading import as_file

MAX_LENGTH = 40_000
_CONFIG = DANetConfig("tiny", "paper", (1, 1, 1, 1), (1, 1, 1, 1), decoder_width=1, growth=1, bottleneck=1)
_PAYLOAD = 1 << 20
WORDS = (
    *(
        b'"F16"',
        b'"F64"',
        b'"I64"',
        b'"BF16"',
        b'"F8_E4M3"',
        b'"U8"',
        b'"BOOL"',
        b'"dtype"',
        b'"shape"',
        b'"data_offsets"',
    ),
    *(b'"__metadata__"', b'\\"layers\\": [1, 1, 1, 1]', b'\\"growth\\": 4096', b"[0,0]", b"[0,4]", b'"danet.config"'),
)


def _header(config: Any = None, spec: str | None = None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "__metadata__": {
            CONFIG_KEY: json.dumps(_CONFIG.to_dict() if config is None else config),
            SPEC_KEY: ModelSpec("tiny").to_json() if spec is None else spec,
        }
    }
    place = 0
    for name, shape in expected_shapes(_CONFIG).items():
        count = 1
        for side in shape:
            count *= side
        if name.endswith("num_batches_tracked"):
            continue
        values[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, place + 4 * count]}
        place += 4 * count
    return values


def seeds() -> dict[str, bytes]:
    """A checkpoint, odd headers before it, and odd files."""
    plain = _header()
    first = next(name for name in plain if name != "__metadata__")
    metadata = plain["__metadata__"]
    values: dict[str, Any] = {
        "plain": plain,
        "metadata-alone": {"__metadata__": metadata},
        "no-metadata": {first: plain[first]},
        "deep-stages": _header(config={**_CONFIG.to_dict(), "layers": [4096] * 4}),
        "wide": _header(config={**_CONFIG.to_dict(), "growth": 4096, "bottleneck": 4096}),
        "text-for-numbers": _header(config={**_CONFIG.to_dict(), "layers": "1111"}),
        "true-for-numbers": _header(config={**_CONFIG.to_dict(), "keypoints": True}),
        "lists-for-text": _header(config={**_CONFIG.to_dict(), "preset": ["paper"]}),
        "config-null": _header(config=0),
        "spec-empty": _header(spec=""),
        "spec-name": _header(spec='{"name":"\\ud800"}'),
        "overlap": {"__metadata__": metadata, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                    "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        "huge-shape": {"__metadata__": metadata, "a": {"dtype": "F32", "shape": [1 << 40] * 2, "data_offsets": [0, 4]}},
        "no-elements": {"__metadata__": metadata, "a": {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}},
        "backward": {"__metadata__": metadata, "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
    }  # fmt: skip
    made = {name: json.dumps(value, separators=(",", ":")).encode() for name, value in values.items()}
    return made | {
        "raw-short": b"\x08\0\0\0\0\0\0\0{}",
        "raw-huge-header": b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
        "raw-empty-header": bytes(8),
        "raw-list": b"\x02\0\0\0\0\0\0\0[]",
        "raw-nested": b"\x88\x13\0\0\0\0\0\0" + b"[" * 5000,
        "raw-page": b"<html>",
        "raw-zip": b"PK\3\4",
    }


def run(data: bytes) -> None:
    """What is taken is a network with a spec that fits it."""
    whole = data
    if data.startswith(b"{"):
        whole = len(data).to_bytes(8, "little") + data + bytes(_needed(data))
    network, spec = load_checkpoint(as_file(whole, ".safetensors"))
    assert network.config.keypoints == len(spec.keypoints)


def _needed(header: bytes) -> int:
    """Bytes of tensors that a header speaks of, within bounds."""
    try:
        entries = [entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"]
        return max(0, min(max(entries, default=0), _PAYLOAD))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return 0
