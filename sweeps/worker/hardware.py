"""What a member's numbers depend on besides its identity: the processor and the libraries that compute them.

Libraries choose their code by what a processor can do, and sum in another order with other code.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

_CHOSEN_BY = ("avx", "avx2", "fma", "avx512", "amx", "asimd", "sve", "sme", "vsx")
"""Beginnings of the names of features by which PyTorch, MKL and oneDNN choose code."""


class Machine(TypedDict):
    """The columns of the members table that say where a member was trained.

    Attributes:
        processor: name of the GPU or the CPU.
        cpu_features: what the CPU can do: PyTorch's word for it, and the features that libraries look at.
        library_versions: of what computes: NumPy, MKL, oneDNN, CUDA, cuDNN.
    """

    processor: str
    cpu_features: str
    library_versions: str


def machine(device: str) -> Machine:
    """Return what this machine trains with on a kind of device, `cpu` or `cuda`.

    Raises:
        DeviceError: PyTorch cannot use the device.
    """
    import torch

    from ouvae.training.device import usable_device

    cpu, place = _cpu_info(), usable_device(device)
    name = (
        torch.cuda.get_device_name(place) if device == "cuda" else cpu.get("model name", platform.processor())
    )
    words = cpu.get("flags", cpu.get("Features", "")).split()
    features = sorted({word for word in words if word.startswith(_CHOSEN_BY)})
    return {
        "processor": name or platform.machine(),
        "cpu_features": " ".join([torch.backends.cpu.get_cpu_capability(), *features]),
        "library_versions": ", ".join(
            f"{library} {version}" for library, version in _versions(device).items()
        ),
    }


def joined(machines: Sequence[Machine]) -> Machine:
    """Return what several machines trained with, one after the other, as that of one."""
    return {
        "processor": _distinct(part["processor"] for part in machines),
        "cpu_features": _distinct(part["cpu_features"] for part in machines),
        "library_versions": _distinct(part["library_versions"] for part in machines),
    }


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _cpu_info() -> dict[str, str]:
    """Return what Linux says of the first CPU."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _versions(device: str) -> dict[str, str]:
    import numpy
    import torch

    built = torch.__config__.show()
    matches = {
        "MKL": re.search(r"Math Kernel Library Version ([\w.]+)", built),
        "oneDNN": re.search(r"(?:MKL-DNN|oneDNN) v([\w.]+)", built),
    }
    versions = {"NumPy": numpy.__version__} | {name: match[1] for name, match in matches.items() if match}
    if device == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        versions |= {"CUDA": str(torch.version.cuda), "cuDNN": str(cudnn)}
    return versions
