from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.concurrency.work import BOX, FRAME

from danet.backends import compiled_store, openvino_backend
from danet.backends.compiled_store import SUFFIX, CompiledStore
from danet.cache_folder import VARIABLE, cache_folder
from danet.estimator import PoseEstimator
from danet.ir_file import seal
from danet.tuning.settings import Settings


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder / "compiled"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with each graph that is really compiled."""
    done: list[object] = []
    core = openvino_backend.openvino_core()

    class Counting:
        def compile_model(self, *arguments: object) -> object:
            done.append(arguments)
            return core.compile_model(*arguments)

        def __getattr__(self, name: str) -> object:
            return getattr(core, name)

    monkeypatch.setattr(openvino_backend, "openvino_core", Counting)
    return done


def keypoints(model: Path) -> np.ndarray:
    with PoseEstimator(model, settings=Settings(threads=1)) as estimator:
        return estimator.infer(FRAME, BOX).keypoints


def test_the_second_start_compiles_nothing(tiny_ir: Path, cache: Path, compilations: list[object]) -> None:
    first = keypoints(tiny_ir)
    assert len(compilations) == 1
    np.testing.assert_array_equal(keypoints(tiny_ir), first)
    assert len(compilations) == 1
    (file,) = cache.iterdir()
    assert file.name.startswith(f"{tiny_ir.stem}-")
    assert file.suffix == SUFFIX


def test_the_kept_graph_has_its_settings(tiny_ir: Path, cache: Path, compilations: list[object]) -> None:
    for _ in range(2):
        with PoseEstimator(tiny_ir, settings=Settings(threads=2)) as estimator:
            estimator.infer(FRAME, [BOX[0]] * 2)
            assert estimator._opened is not None
            shared = estimator._opened.shares.opened_model()
            assert shared is not None
            pools = shared.backend._pools._pools  # type: ignore[attr-defined]
            (pool,) = pools.values()
            compiled = pool._free[0].get_compiled_model()
            assert (compiled.get_property("NUM_STREAMS"), compiled.get_property("INFERENCE_NUM_THREADS")) == (2, 2)
    assert len(compilations) == 2  # the first time: without the tokenizer, and with it, to compare
    assert len(list(cache.iterdir())) == 1


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes((content[middle] ^ 1,)) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [flip, lambda content: content[:1000], lambda _: b"", lambda content: content + b"0", lambda _: b"0" * 99]
)
def test_a_damaged_file_is_made_anew(
    tiny_ir: Path, cache: Path, compilations: list[object], damage: Callable[[bytes], bytes]
) -> None:
    expected = keypoints(tiny_ir)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    np.testing.assert_array_equal(keypoints(tiny_ir), expected)
    assert len(compilations) == 2
    np.testing.assert_array_equal(keypoints(tiny_ir), expected)
    assert len(compilations) == 2


def test_what_openvino_does_not_take_is_compiled(tiny_ir: Path, cache: Path, compilations: list[object]) -> None:
    """As a file of another version would be, had it the same name."""
    expected = keypoints(tiny_ir)
    (file,) = cache.iterdir()
    content = b"no graph of any OpenVINO"
    file.write_bytes(hashlib.sha256(content).digest() + content)
    np.testing.assert_array_equal(keypoints(tiny_ir), expected)
    assert len(compilations) == 2


def test_other_weights_have_another_file(
    tiny_ir: Path, tmp_path: Path, cache: Path, compilations: list[object]
) -> None:
    keypoints(tiny_ir)
    other = tmp_path / tiny_ir.name
    text = tiny_ir.read_text(encoding="utf-8")
    other.write_text(text.partition("<!--danet.weights")[0], encoding="utf-8")
    weights = bytearray(tiny_ir.with_suffix(".bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    other.with_suffix(".bin").write_bytes(weights)
    seal(other)
    keypoints(other)
    assert len(compilations) == 2
    assert len(list(cache.iterdir())) == 2


def test_nothing_is_kept_where_none_is_wanted(
    tiny_ir: Path, tmp_path: Path, compilations: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() is None
    keypoints(tiny_ir)
    keypoints(tiny_ir)
    assert len(compilations) == 2
    assert not (tmp_path / "xdg").exists()


def test_a_relative_folder_is_of_the_working_directory(
    tiny_ir: Path, tmp_path: Path, compilations: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "own")
    assert cache_folder() == tmp_path / "own"
    keypoints(tiny_ir)
    assert len(compilations) == 1
    assert any(path.is_file() for path in (tmp_path / "own").rglob("*"))


def test_a_folder_that_cannot_be_made(tiny_ir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    assert np.isfinite(keypoints(tiny_ir)).all()


def test_an_onnx_file_is_not_kept(tiny_onnx: Path, cache: Path) -> None:
    """Its weights may lie in other files, which nobody hashes."""
    with PoseEstimator(tiny_onnx, backend="openvino", settings=Settings(threads=1)) as estimator:
        estimator.infer(FRAME, BOX)
    assert not cache.exists()


class Compiled:
    def __init__(self, size: int) -> None:
        self.size = size

    def export_model(self) -> object:
        return io.BytesIO(bytes(self.size))


def test_the_longest_unused_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_store, "MOST_BYTES", 3500)
    store = CompiledStore(tmp_path, "m", "hash")
    for number in range(3):
        store.save(Compiled(1000), (number,), "CPU", {})
        os.utime(store._place((number,), "CPU", {}), (number, number))
    os.utime(store._place((0,), "CPU", {}))  # used now
    store.save(Compiled(1000), (3,), "CPU", {})
    assert {store._place((number,), "CPU", {}) for number in (0, 2, 3)} == set(tmp_path.iterdir())


def test_the_key_tells_settings_apart(tmp_path: Path) -> None:
    store = CompiledStore(tmp_path, "m", "hash")
    places = {
        store._place((1, 256, 192, 3), "CPU", {"NUM_STREAMS": 1}),
        store._place((1, 256, 192, 3), "CPU", {"NUM_STREAMS": 2}),
        store._place((2, 256, 192, 3), "CPU", {"NUM_STREAMS": 1}),
        store._place((1, 256, 192, 3), "CPU.1", {"NUM_STREAMS": 1}),
        CompiledStore(tmp_path, "m", "other")._place((1, 256, 192, 3), "CPU", {"NUM_STREAMS": 1}),
    }
    assert len(places) == 5


def test_what_is_kept_is_what_was_read(tiny_ir: Path, tmp_path: Path, cache: Path, compilations: list[object]) -> None:
    """Not weights that were written over in place between opening and compiling."""
    path = tmp_path / "model.xml"
    for suffix in (".xml", ".bin"):
        path.with_suffix(suffix).write_bytes(tiny_ir.with_suffix(suffix).read_bytes())
    content = path.with_suffix(".bin").read_bytes()
    with PoseEstimator(path, settings=Settings(threads=1)) as estimator:
        path.with_suffix(".bin").write_bytes(bytes(len(content)))  # the same file, not another of its name
        before = estimator.infer(FRAME, BOX)
    path.with_suffix(".bin").write_bytes(content)
    with PoseEstimator(path, settings=Settings(threads=1)) as estimator:
        after = estimator.infer(FRAME, BOX)
    assert len(compilations) == 1
    with PoseEstimator(tiny_ir, settings=Settings(threads=1)) as estimator:
        np.testing.assert_array_equal(before.keypoints, estimator.infer(FRAME, BOX).keypoints)
    np.testing.assert_array_equal(before.keypoints, after.keypoints)
    assert cache.exists()


def test_limits_of_instructions_have_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CompiledStore(tmp_path, "m", "hash")
    free = store._place((1, 256, 192, 3), "CPU", {})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert store._place((1, 256, 192, 3), "CPU", {}) != free
