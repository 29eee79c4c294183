"""The device that members train on, tried out before anything is built on it."""

import platform

import torch


class DeviceError(RuntimeError):
    """PyTorch cannot use the device; the message says why, and what to do."""


def usable_device(name: torch.device | str) -> torch.device:
    """Return the device after one small operation on it.

    Raises:
        DeviceError: PyTorch cannot use it: it is built for CPUs only, lacks kernels for this GPU, or does not
            fit the driver.
        torch.OutOfMemoryError: other programs fill its memory.
    """
    try:
        device = torch.device(name)
        torch.ones(1, device=device).add_(1).item()
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeviceError(
            f"PyTorch {torch.__version__} cannot use the device {str(name)!r} of {platform.node()}: "
            f"{reason}; set device=cpu, or install a PyTorch that fits this GPU and its driver"
        ) from None
    return device
