"""CPUs by affinity and by the quotas of control groups, in a made-up /proc."""

import os
from pathlib import Path

import pytest

from sweeps.machine.cpus import usable_cpus

V2 = "32 31 0:29 {root} {mounted} rw,relatime - cgroup2 cgroup2 rw"
V1 = "33 31 0:30 {root} {mounted} rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"


@pytest.fixture
def count(tmp_path, monkeypatch):
    """Return the count of CPUs of a process, of 8 by its affinity, in a group with files of quotas."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))

    def count_in(mount: str, group: str, files: dict[str, str], root: str = "/") -> int:
        process, mounted = tmp_path / "self", tmp_path / "cgroup"
        process.mkdir()
        (process / "mountinfo").write_text("\n".join([MEMORY, mount.format(root=root, mounted=mounted), ""]))
        (process / "cgroup").write_text(f"4:memory:/other\n{group}\n")
        for name, text in files.items():
            (mounted / name).parent.mkdir(parents=True, exist_ok=True)
            (mounted / name).write_text(f"{text}\n")
        return usable_cpus(process)

    return count_in


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("3200000 100000", 8),
    ],
)
def test_version_2_in_a_container(count, quota, cpus):
    assert count(V2, "0::/", {"cpu.max": quota}) == cpus


def test_the_smallest_quota_of_a_group_and_its_parents_holds(count):
    files = {"cpu.max": "600000 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}
    assert count(V2, "0::/a/b", files) == 3


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 8), ("400000", 4), ("30000", 1)])
def test_version_1(count, quota, cpus):
    files = {"job/cpu.cfs_quota_us": quota, "job/cpu.cfs_period_us": "100000"}
    assert count(V1, "2:cpu,cpuacct:/job", files) == cpus


@pytest.mark.parametrize("group", ["/docker/x", "/docker/x/y", "/elsewhere"])
def test_a_container_sees_its_own_group_at_the_root(count, group):
    files = {"cpu.cfs_quota_us": "200000", "cpu.cfs_period_us": "100000"}
    assert count(V1, f"2:cpu,cpuacct:{group}", files, root="/docker/x") == 2


@pytest.mark.parametrize("quota", ["", "much", "1 0", "1 2 3"])
def test_a_quota_that_says_nothing(count, quota):
    assert count(V2, "0::/", {"cpu.max": quota}) == 8


def test_a_system_without_control_groups(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    assert usable_cpus(tmp_path) == 2
    assert usable_cpus(Path("/proc/self")) in (1, 2)
