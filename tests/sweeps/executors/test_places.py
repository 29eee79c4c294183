"""What a pack requests and where members train, without a cluster."""

import pytest

from search_spaces import load
from sweeps import SweepError
from sweeps.executors.places import PENDING, Places, Resources, device_of, resources_of

SMALL, LARGE, GPUS = {"CPU": 2.0, "GPU": 0.0}, {"CPU": 7.0}, {"CPU": 8.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("resources", "nodes", "room"),
    [
        (Resources(1, 0), [SMALL], 2),
        (Resources(2, 0), [SMALL, LARGE], 4),
        (Resources(4, 0), [SMALL, LARGE], 1),
        (Resources(8, 0), [SMALL, LARGE], 0),
        (Resources(1, 1), [SMALL, GPUS], 4),
        (Resources(3, 1), [GPUS], 2),
        (Resources(1, 0.1), [GPUS], 8),
        (Resources(1, 0.5), [{"CPU": 99.0, "GPU": 3.0}], 6),
        (Resources(1, 0), [], 0),
    ],
)
def test_room_is_counted_a_node(resources, nodes, room):
    """A pack runs on one node: what is left on two of them does not add up."""
    assert resources.slots_of(nodes) == room


def test_a_device_is_what_the_space_says_else_what_was_there_else_what_the_nodes_have():
    auto, cpu, cuda = (load("digits", [f"device={device}"]) for device in ("auto", "cpu", "cuda"))
    assert device_of(cpu, [GPUS], "cuda") == "cpu"
    assert device_of(cuda, [], None) == "cuda"
    assert device_of(auto, [GPUS], "cpu") == "cpu"
    assert device_of(auto, [], "cuda") == "cuda"
    assert device_of(auto, [SMALL, GPUS], None) == "cuda"
    assert device_of(auto, [SMALL], None) == "cpu"
    with pytest.raises(SweepError, match=r"no node with room for a pack yet.*set device=cuda or device=cpu"):
        device_of(auto, [{"CPU": 0.0}], None)


def test_only_packs_on_gpus_ask_for_one():
    space = load("digits", ["gpus_per_pack=0.5", "cpus_per_pack=2"])
    assert str(resources_of(space, "cuda")) == "2 CPUs and 0.5 GPU"
    assert str(resources_of(space, "cpu")) == "2 CPUs"
    cuda = load("digits", ["gpus_per_pack=0.5", "cpus_per_pack=2", "device=cuda"])
    assert str(Places(cuda, [SMALL, GPUS], None, local=False)) == "2 nodes, 10 CPUs, 4 GPUs: 4 packs at once"


def test_a_machine_without_room_for_a_pack_is_refused_and_a_cluster_may_get_some():
    space = load("digits", ["device=cuda"])
    with pytest.raises(SweepError, match=r"this machine has 1 node, 2 CPUs: 0 packs .* lower gpus_per_pack"):
        Places(space, [SMALL], None, local=True)
    places = Places(space, [SMALL], None, local=False)
    assert (places.free, places.slots, places.pending) == (0, 1, PENDING)
    places.resize([GPUS])
    assert (places.free, places.slots) == (4, 4)
