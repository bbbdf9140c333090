from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from danet.bounded_file import read_at_most


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_files_up_to_the_limit_come_whole(tmp_path: Path, size: int) -> None:
    (path := tmp_path / "file").write_bytes(b"x" * size)
    assert read_at_most(path, 10) == b"x" * size


@pytest.mark.parametrize("size", [11, 12, 5000])
def test_larger_files_show_that_they_are(tmp_path: Path, size: int) -> None:
    (path := tmp_path / "file").write_bytes(b"x" * size)
    assert len(read_at_most(path, 10)) == 11


def test_no_more_memory_than_the_file_has(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"x" * 1000)
    tracemalloc.start()
    try:
        read_at_most(path, 1 << 30)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_device_without_end() -> None:
    assert read_at_most(Path("/dev/zero"), 1000) == bytes(1001)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    writer = threading.Thread(target=path.write_bytes, args=(b"text" * 50,), daemon=True)
    writer.start()
    assert read_at_most(path, 1000) == b"text" * 50
    writer.join(10)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_at_most(tmp_path / "missing", 10)
