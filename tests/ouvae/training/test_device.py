"""The device that members train on, tried out first."""

import pytest
import torch

from ouvae.training.device import DeviceError, usable_device


def test_a_device_that_can_be_used_is_returned():
    assert usable_device("cpu") == torch.device("cpu")


def test_one_that_cannot_be_used_is_refused_with_the_way_out():
    """No machine has a hundredth GPU, and PyTorch for CPUs has none."""
    with pytest.raises(
        DeviceError, match=r"cannot use the device 'cuda:99' of .*; set device=cpu, or install"
    ):
        usable_device("cuda:99")
