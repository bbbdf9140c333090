from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.faults.cases import TRAINING

from danet.commands.main import main
from danet.errors import InputError
from danet_network.config import danet_config
from danet_training import loop as loop_module
from danet_training.dataset import Numbers
from danet_training.loop import STATE
from danet_training.processes import ALONE, Processes


def test_a_step_is_dealt_out_in_stretches() -> None:
    first, second = (list(Numbers(20, 40, 8, Processes(rank, 2))) for rank in (0, 1))
    assert first == [20, 21, 22, 23, 28, 29, 30, 31]  # the last 4 of 20 are no whole step
    assert second == [24, 25, 26, 27, 32, 33, 34, 35]
    assert list(Numbers(20, 40, 8)) == list(range(20, 36))
    assert len(Numbers(20, 40, 8, Processes(1, 2))) == 8


def test_a_batch_that_cannot_be_dealt_out() -> None:
    with pytest.raises(InputError, match="batch 10 on 4 processes, expected a multiple of 4"):
        Processes(0, 4).share(10)
    assert ALONE.share(10) == 10


CHILD = """
import sys
from pathlib import Path

import torch

from danet_network.config import DANetConfig, danet_config
from danet_training import loop
from danet_training.config import Phase, Source, TrainConfig
from danet_training.dataset import Numbers, Samples, open_source, sample_loader
from danet_training.loop import Trainer, train, training_spec
from danet_training.processes import joined_processes
from dataclasses import replace

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
def small(name, preset):
    narrow = {"transitions": (16, 16, 16, 16), "decoder_width": 16}
    return replace(danet_config(name, preset), layers=(1, 1, 1, 1), **narrow)

loop.danet_config = small
torch.set_num_threads(1)
phase = Phase((64, 64), 24, batch=8, micro_batch=2, ohkm=8)
# at a rate of 0, so that each step compares gradients at the same weights
config = TrainConfig(
    "danet72", "paper", (Source("coco", folder=str(folder)),), (phase,), learning_rate=0.0, bf16=False, workers=0
)
gradients, seen = [], []
with joined_processes() as (processes, device):
    trainer = Trainer(config, training_spec(config), device, processes)
    def progress(samples, loss):
        gradients.append({name: value.grad.clone() for name, value in trainer.model.named_parameters()})
        seen.append(samples)
    train(trainer, out, progress, lambda trainer, phase: None)
    assert seen == [8, 16, 24]
    torch.save(gradients, out / f"gradients{processes.rank}.pt")
    assert (out / "last.pt").is_file()  # the others go on only when the first has written
"""


def run(tmp_path: Path, coco_folder: Path, out: str, *launcher: str) -> list[list[dict[str, torch.Tensor]]]:
    """The gradients of each step of the run in CHILD, of each process."""
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / out).mkdir()
    done = subprocess.run(
        [sys.executable, *launcher, tmp_path / "child.py", coco_folder, tmp_path / out],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(path, weights_only=True) for path in sorted((tmp_path / out).glob("gradients*.pt"))]


@pytest.mark.long
def test_two_processes_have_the_gradients_of_one(coco_folder: Path, tmp_path: Path) -> None:
    (alone,) = run(tmp_path, coco_folder, "alone")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    first, second = run(tmp_path, coco_folder, "both", *torchrun)
    for step in range(3):
        for name, gradient in alone[step].items():
            assert torch.equal(first[step][name], second[step][name])
            # sums in another order
            slack = 1e-4 * gradient.abs().max().item()
            torch.testing.assert_close(first[step][name], gradient, rtol=1e-3, atol=slack)


COMMAND = """
import os
import sys
from dataclasses import replace

from danet.commands.main import main
from danet_network.config import danet_config
from danet_training import loop

loop.danet_config = lambda name, preset: replace(danet_config(name, preset), layers=(1, 1, 1, 1))
config, out = sys.argv[1:]
sys.exit(main(["train", config, "--out", out + os.environ.get("RANK", "0"), "--threads", "1"]))
"""


@pytest.mark.long
def test_machines_that_do_not_share_their_folder(
    tmp_path: Path, coco_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child.py").write_text(COMMAND)
    (tmp_path / "run.toml").write_text(TRAINING.format(rate=1e-3, folder=coco_folder, samples=8))
    child = (tmp_path / "child.py", tmp_path / "run.toml", tmp_path / "out")
    monkeypatch.setattr(
        loop_module, "danet_config", lambda name, preset: replace(danet_config(name, preset), layers=(1, 1, 1, 1))
    )
    assert main(["train", str(tmp_path / "run.toml"), "--out", str(tmp_path / "out0"), "--threads", "1"]) == 0
    assert (tmp_path / "out0" / STATE).is_file()
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run([*torchrun, *child], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode
    assert "do not start from the same weights" in done.stderr
    assert not (tmp_path / "out1" / STATE).exists()
