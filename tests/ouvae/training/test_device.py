"""The device that members train on."""

import pytest
import torch

from ouvae.training.device import DeviceError, usable_device


def test_a_usable_device_is_returned():
    assert usable_device("cpu") == torch.device("cpu")


def test_an_unusable_device_is_refused_with_what_to_do():
    """No machine has a hundredth GPU, and PyTorch for CPUs has none."""
    with pytest.raises(
        DeviceError, match=r"cannot use the device 'cuda:99' of .*; set device=cpu, or install"
    ):
        usable_device("cuda:99")
