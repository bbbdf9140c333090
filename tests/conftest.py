"""A small network whose every tensor tells, and its exported files; made once in a session.

Where torch is not installed, as in a camera app's environment, the files are the golden ones of
tests/compatibility, of a network like it; what needs the network itself is skipped.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import hypothesis
import numpy as np
import pytest

from danet.commands.main import main
from danet.embedded import PORTRAIT
from danet.model_spec import DecoderSpec, Metric, ModelSpec
from danet.scenes.scene import Scene, render_scene

if TYPE_CHECKING:
    import torch

    from danet_network.config import DANetConfig
    from danet_network.model import DANet

GOLDEN = Path(__file__).parent / "compatibility" / "golden" / "version-1"
SHARED = Path(__file__).parents[1].parent / "shared" / "data"
"""Real videos, photos and detectors, which are not in the repository."""


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # children that tests fork end as well
        shutil.rmtree(folder, ignore_errors=True)


SPEC = ModelSpec(
    name="tiny",
    input_size=(128, 96),
    box_padding=1.2,
    decoder=DecoderSpec(blur_kernel=9, heatmap_peak=2.0),
    metrics=(Metric("AP", 0.25, "nowhere/val", "made up"),),
    licence="CC0",
    training_data="none: random weights",
)


# A tuning of this machine must not change tests, nor tests write one for it. The processes of a run share one folder.
os.environ.pop("DANET_CACHE_DIR", None)
if "danet-tests-" not in os.environ.get("XDG_CACHE_HOME", ""):
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="danet-tests-")
    atexit.register(_remove, Path(os.environ["XDG_CACHE_HOME"]), os.getpid())
# A busy machine breaks any deadline. All else is as in the profile that is loaded: `tests.mutation` has its own.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")
if find_spec("torch"):
    import torch

    torch.set_num_threads(1)  # networks this small lose more to the handshakes of threads than they gain


def _needs_torch() -> None:
    pytest.importorskip("torch", reason="needs the network itself: pip install 'danet-edge[torch]'")


def needs_shared(*files: Path) -> pytest.MarkDecorator:
    """Skips a test for want of files (or folders) in `SHARED`, and names those that are not there."""
    missing = [str(file.relative_to(SHARED)) for file in files if not file.exists()]
    return pytest.mark.skipif(bool(missing), reason=f"not in ../shared/data: {', '.join(missing)}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an extra that is not installed, with its name as the reason."""
    for mark in item.iter_markers("needs"):
        for library in mark.args:
            pytest.importorskip(library, reason=f"needs {library}, which is not installed")


@dataclass(frozen=True)
class Outcome:
    """What a command line did."""

    status: int
    out: str
    err: str

    def error(self, status: int = 1) -> str:
        """The only line on stderr, which names the error; fails on anything else."""
        lines = self.err.strip().splitlines()
        assert (self.status, len(lines)) == (status, 1), self.err
        assert lines[0].startswith("danet: error: ")
        assert "Traceback" not in self.err
        return lines[0].removeprefix("danet: error: ")


@pytest.fixture
def danet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command line of `danet` in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def danet_process() -> Callable[..., Outcome]:
    """Runs the installed `danet` program."""
    program = Path(sys.executable).with_name("danet")

    def run(*arguments: object, **options: Any) -> Outcome:
        done = subprocess.run(
            [program, *map(str, arguments)], text=True, capture_output=True, timeout=120, check=False, **options
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def tiny_config() -> DANetConfig:
    """The graph of DANet with one layer to a stage and few channels."""
    _needs_torch()
    from danet_network.config import danet_config

    return replace(
        danet_config("danet72"), name="tiny", layers=(1, 1, 1, 1), transitions=(16, 16, 16, 16), decoder_width=16
    )


@pytest.fixture(scope="session")
def random_network() -> Callable[..., DANet]:
    """Networks in eval mode whose every tensor is random: BN scales of both signs, some exactly 0.

    A higher gain lets more of the deep layers through, and more of their rounding.
    """

    _needs_torch()
    from danet_network.model import DANet

    def make(config: DANetConfig, seed: int = 0, dtype: torch.dtype | None = None, gain: float = 1.0) -> DANet:
        network = DANet(config).to(dtype or torch.float32).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 2.0, generator=generator)
                elif tensor.is_floating_point():
                    tensor.normal_(0, tensor[0].numel() ** -0.5 if tensor.ndim == 4 else 0.5, generator=generator)
            for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
                norm.weight.mul_(gain)
                norm.weight[torch.rand(norm.num_features, generator=generator) < 0.15] = 0
        return network

    return make


@pytest.fixture(scope="session")
def tiny_network(tiny_config: DANetConfig, random_network: Callable[..., DANet]) -> DANet:
    """A random network whose BN statistics are those of pictures, so that its heatmaps have shape."""
    from danet_converters.parity import sample_crops
    from danet_network.normalise import Normalise

    network = random_network(tiny_config, seed=3)
    crops = torch.from_numpy(sample_crops(SPEC, seed=5))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        network.train()(Normalise(SPEC)(crops))
    return network.eval()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder by its name, filled by the first process of this run that asks for it; the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name: str, fill: Callable[[Path], object]) -> Path:
        from filelock import FileLock

        folder, unfinished = shared / f"once-{name}", shared / f"once-{name}.part"
        with FileLock(shared / f"once-{name}.lock"):
            if not folder.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                fill(unfinished)
                unfinished.rename(folder)
        return folder

    return get


@pytest.fixture(scope="session")
def tiny_checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as .safetensors."""
    if not find_spec("torch"):
        return _golden("tiny.safetensors", tmp_path_factory)
    from danet_network.checkpoint import save_checkpoint

    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_checkpoint(path, request.getfixturevalue("tiny_network"), SPEC)
    return path


def _golden(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    for path in GOLDEN.glob(f"{Path(name).stem}.*"):
        shutil.copy(path, folder)
    return folder / name


@pytest.fixture(scope="session")
def exported(
    tiny_checkpoint: Path,
    once: Callable[[str, Callable[[Path], object]], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str, str], Path]:
    """Makes an exported file of the network: by format, label of the precision, and name."""

    def make(kind: str, label: str, name: str) -> Path:
        if not find_spec("torch"):
            return _golden(name, tmp_path_factory)
        from danet_converters.export import TARGETS, export_all

        # those that are made from one graph together, the others as they are asked for
        together = [(target.format, target.label) for target in TARGETS if target.format != "tflite"]
        wanted = together if (kind, label) in together else [(kind, label)]
        targets = [target for target in TARGETS if (target.format, target.label) in wanted]
        made = once("-".join(wanted[0]), lambda folder: list(export_all(tiny_checkpoint, targets, folder)))
        folder = tiny_checkpoint.parent / ("exported-tflite" if kind == "tflite" else "exported")
        shutil.copytree(made, folder, dirs_exist_ok=True)
        return folder / name

    return make


@pytest.fixture(scope="session")
def tiny_onnx(exported: Callable[[str, str, str], Path]) -> Path:
    """The network as ONNX."""
    return exported("onnx", "fp32", "tiny.onnx")


@pytest.fixture(scope="session")
def tiny_ir(exported: Callable[[str, str, str], Path]) -> Path:
    """The network as IR: the .xml, with its .bin beside it."""
    return exported("openvino", "fp32", "tiny.xml")


@pytest.fixture(scope="session")
def tiny_ir_fp16(exported: Callable[[str, str, str], Path]) -> Path:
    """The network as IR with half-precision weights."""
    return exported("openvino", "fp16", "tiny-fp16.xml")


@pytest.fixture(scope="session")
def tiny_tflite(exported: Callable[[str, str, str], Path]) -> Path:
    """The network as TFLite, float32."""
    return exported("tflite", "fp32", "tiny.tflite")


@pytest.fixture(scope="session")
def scene() -> Scene:
    """A rendered picture of persons."""
    return render_scene(11, (240, 320), persons=3)


@pytest.fixture(scope="session")
def scene_file(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That picture as a file."""
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    cv2.imwrite(str(path), scene.image)
    return path


@pytest.fixture(scope="session")
def portrait() -> Path:
    """The embedded picture of one person."""
    return PORTRAIT


@pytest.fixture(scope="session")
def coco_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature data set in COCO's format: six rendered persons or so, the same for train and val."""
    folder = tmp_path_factory.mktemp("coco")
    (folder / "images").mkdir()
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for number in range(1, 4):
        scene = render_scene(number, (160, 160), persons=2)
        image, annotations = scene.to_coco(number, len(content["annotations"]) + 1)
        content["images"].append({**image, "file_name": f"{number}.png"})
        content["annotations"] += annotations
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.asarray(scene.image))
    for split in ("train", "val"):
        (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory with the options given ("size=64k"), or remounts it ("remount,ro")."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "danet-test", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            done = False
        if not done:
            pytest.skip("mounting a small tmpfs is not permitted here")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs started meanwhile can be interrupted: shells start what runs in the background without SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
