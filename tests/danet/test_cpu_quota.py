from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from danet.cpu_quota import quota_cores

V1 = "4:memory:/a\n3:cpu,cpuacct:/docker/1\n1:name=systemd:/\n0::/\n"


def cgroups(root: Path, own: str, files: Mapping[str, str]) -> Path:
    """A root folder whose process is in certain cgroups, which hold certain files."""
    for name, content in {"proc/self/cgroup": own, **{f"sys/fs/cgroup/{key}": files[key] for key in files}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "5000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "100000 100000\n", "a/cpu.max": "300000 100000\n"}, 1),
        ("0::/a\n", {"b/cpu.max": "100000 100000\n"}, None),
        ("0::/of/the/host\n", {"cpu.max": "400000 100000\n"}, 4),
        (V1, {"cpu,cpuacct/docker/1/cpu.cfs_quota_us": "250000", "cpu,cpuacct/docker/1/cpu.cfs_period_us": "50000"}, 5),
        (V1, {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "0\n"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "250000\n"}, None),
        ("0::/\n", {"cpu.max": "a b c\n"}, None),
        ("0::/\n", {"cpu.max": "200000\n"}, None),
        ("0::/\n", {"cpu.max": f"{'9' * 400} 1\n"}, None),
        ("nonsense\n\n0::/../other\n", {}, None),
    ],
)
def test_quota(own: str, files: Mapping[str, str], expected: int | None, tmp_path: Path) -> None:
    assert quota_cores(cgroups(tmp_path, own, files)) == expected


def test_systems_without_cgroups(tmp_path: Path) -> None:
    assert quota_cores(tmp_path) is None


def test_files_that_are_no_text(tmp_path: Path) -> None:
    root = cgroups(tmp_path, "0::/\n", {})
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "sys/fs/cgroup/cpu.max").write_bytes(b"\xff\xfe")
    assert quota_cores(root) is None
    (root / "proc/self/cgroup").write_bytes(b"\xff\xfe")
    assert quota_cores(root) is None
