"""A .pt checkpoint: the pickle in its zip archive, which PyTorch's weights-only reader sees.

The input is the pickle; the archive around it is whole, since a damaged one is refused by its checksums.
"""

from __future__ import annotations

import io
import math
import zipfile

import torch

from danet_network.checkpoint import load_checkpoint
from danet_network.config import DANetConfig
from danet_network.weights import COUNTER, KNOWN, expected_shapes
from tests.fuzz.reading import as_file
from tests.fuzz.targets import pickle_gadgets, unpickling

WORDS = (
    *unpickling.WORDS,
    *(
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"X\x07\x00\x00\x00storage",
        b"X\x01\x00\x00\x000",
    ),
    *(
        b"ctorch._utils\n_rebuild_parameter\n",
        b"ctorch\nSize\n",
        b"cbuiltins\nbytearray\n",
        b"cbuiltins\nset\n",
        b"ctorch\nfloat32\n",
    ),
)
_CONFIG = DANetConfig("tiny", "paper", (1, 1, 1, 1), (1, 1, 1, 1), decoder_width=1, growth=1, bottleneck=1)
_ELEMENTS = max(math.prod(shape) for shape in expected_shapes(_CONFIG).values())
MAX_LENGTH = 40_000
for _known in KNOWN:
    expected_shapes(_known)  # the first file pays seconds for it, whatever it holds


def _pickle(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        return archive.read(name)


def seeds() -> dict[str, bytes]:
    """Small checkpoints of each kind, and the gadgets."""
    config, base = _CONFIG.to_dict(), torch.zeros(_ELEMENTS)  # one storage for all: one record in the archive
    tensors = {"module.a": base[:6].view(2, 3), "module.b": torch.nn.Parameter(base[6:7])}
    whole = {name: base[: math.prod(shape)].view(shape) for name, shape in expected_shapes(_CONFIG).items()}
    whole = {name: tensor for name, tensor in whole.items() if not name.endswith(COUNTER)}
    values = {
        "bare": tensors,
        "model": {"config": config, "spec": '{"name":"a"}', "model": tensors},
        "whole": {"config": config, "spec": '{"name":"a"}', "model": whole},
        "training": {"average": tensors, "samples_seen": 1, "optimizer": {}},
        "sparse": {"a": torch.zeros(2, 2).to_sparse()},
        "half": {"a": torch.zeros(2, dtype=torch.complex64), "b": torch.zeros(2, dtype=torch.bool)},
        "list": [1, 2],
        "names": {5: torch.zeros(1)},
        "config-list": {"config": [1], "model": tensors},
        "spec-bytes": {"config": config, "spec": b"x", "model": tensors},
    }
    made = {name: _pickle(value) for name, value in values.items()}
    rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
    rebuild += b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ"
    odd = {
        "strides": rebuild + b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85\x89ccollections\nOrderedDict\n)RtR.",
        "offset": rebuild + b"J\xff\xff\xff\x7fK\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR.",
        "bytearray": b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        "storage-size": rebuild.replace(b"K\x06tQ", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ftQ")
        + b"K\x00)K\x00)\x89NtR.",
    }
    gadgets = {f"gadget-{name}": data for name, data in pickle_gadgets.takeovers().items()}
    return made | odd | gadgets | {f"bomb-{name}": data for name, data in pickle_gadgets.bombs().items()}


def run(data: bytes) -> None:
    """Wrap and read."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in (
            ("data.pkl", data),
            ("byteorder", b"little"),
            ("version", b"3\n"),
            ("data/0", bytes(4 * _ELEMENTS)),
            ("data/1", bytes(8)),
        ):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), part)
    load_checkpoint(as_file(file.getvalue(), ".pt"))
