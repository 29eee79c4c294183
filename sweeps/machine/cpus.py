"""The CPUs that this process may use: those of its affinity, as far as a quota of time allows."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def usable_cpus(process: Path = Path("/proc/self")) -> int:
    """Return the number of CPUs that this process may use, at least 1.

    A quota, as `docker --cpus`, Kubernetes and systemd set it, counts as so many whole CPUs.

    Args:
        process: folder in /proc that says which control groups the process is in, and where they are mounted.
    """
    return max(1, math.floor(min([len(os.sched_getaffinity(0)), *_quotas(process)])))


def _quotas(process: Path) -> Iterator[float]:
    """Yield the CPUs of each quota that holds for a process: of its control groups and of their parents."""
    with suppress(OSError, ValueError):
        mounts = _mounts(process)
        for line in (process / "cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            kind = "cpu" if "cpu" in controllers.split(",") else "cgroup2" if not controllers else ""
            if kind in mounts:
                root, mounted = mounts[kind]
                inside = PurePosixPath(group)
                path = mounted / inside.relative_to(root) if inside.is_relative_to(root) else mounted
                for folder in (path, *path.parents):
                    if folder.is_relative_to(mounted):
                        yield from _quota(folder)


def _mounts(process: Path) -> dict[str, tuple[PurePosixPath, Path]]:
    """Return the group at the root of each mounted hierarchy that can limit CPUs, and where it is mounted."""
    mounts = {}
    for line in (process / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            mounts["cpu" if kind == "cgroup" else kind] = (PurePosixPath(root), Path(mounted))
    return mounts


def _quota(folder: Path) -> Iterator[float]:
    """Yield the CPUs that a control group may use, of version 1 or 2, if it has a quota."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (folder / "cpu.max").read_text().split()
        yield float(quota) / float(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if float(quota) > 0:
            yield float(quota) / float(period)
