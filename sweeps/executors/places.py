"""Where packs train: the device, the resources of a pack, and how many of them the nodes hold at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.running import RunningKeys
from sweeps.errors import SweepError
from sweeps.executors.events import NodeResources
from sweeps.machine.cpus import usable_cpus

PENDING = 32
"""Packs that may wait for a slot on a cluster: an autoscaler adds nodes for waiting packs."""


@dataclass(frozen=True)
class Resources:
    """Resources that a pack requests from Ray."""

    cpus: int
    gpus: float

    def __str__(self) -> str:
        """Return `1 CPU` or `2 CPUs and 0.5 GPU`."""
        cpus = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        return f"{cpus} and {self.gpus:g} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else cpus

    def slots_of(self, nodes: Sequence[NodeResources]) -> int:
        """Return the number of packs that fit the nodes at once; a pack runs on a single node."""
        return sum(self._slots(node) for node in nodes)

    def _slots(self, node: NodeResources) -> int:
        cpus = int(node.get("CPU", 0) // self.cpus)
        return min(cpus, int(node.get("GPU", 0) / self.gpus + 1e-9)) if self.gpus else cpus


class Places:
    """The slots of packs on the nodes.

    Args:
        how: keys of running packs.
        held: device of the members of the run; None without members.
        local: whether the nodes are this machine.

    Attributes:
        device: where members train, `cpu` or `cuda`.
        free: packs that fit the nodes at once.

    Raises:
        SweepError: no node tells the device, or this machine has no room for a pack.
    """

    def __init__(
        self, how: RunningKeys, nodes: Sequence[NodeResources], held: str | None, local: bool
    ) -> None:
        self.device = device_of(how, nodes, held)
        self.resources = resources_of(how, self.device)
        self._local = local
        self.resize(nodes)
        if local and not self.free:
            raise SweepError(
                f"this machine has {self}, and a pack asks for {self.resources}; lower "
                "gpus_per_pack, set device=cpu, or give the --address of a cluster"
            )

    def __str__(self) -> str:
        """Return the nodes in words."""
        cpus = sum(int(node.get("CPU", 0)) for node in self._nodes)
        gpus = sum(node.get("GPU", 0.0) for node in self._nodes)
        gpu_text = f", {gpus:g} GPUs" if gpus else ""
        count = f"{len(self._nodes)} node{'s' if len(self._nodes) != 1 else ''}"
        return f"{count}, {cpus} CPUs{gpu_text}: {self.free} packs at once"

    @property
    def slots(self) -> int:
        """Packs to plan for at once: at least one."""
        return max(1, self.free)

    @property
    def pending(self) -> int:
        """Packs that may wait for a slot in Ray."""
        return self.slots if self._local else PENDING

    def resize(self, nodes: Sequence[NodeResources]) -> None:
        """Take other nodes."""
        self._nodes, self.free = nodes, self.resources.slots_of(nodes)


def resources_of(how: RunningKeys, device: str) -> Resources:
    """Return the resources that a pack requests."""
    return Resources(how.cpus_per_pack, how.gpus_per_pack if device == "cuda" else 0.0)


def device_of(how: RunningKeys, nodes: Sequence[NodeResources], held: str | None) -> str:
    """Return the device of the space; for `auto`, the device of the run's members, else of the nodes.

    Args:
        how: keys of running packs.
        nodes: the nodes.
        held: device of the members of the run; None without members.

    Raises:
        SweepError: `auto`, and no node tells the device.
    """
    if how.device != "auto":
        return how.device
    if held is not None:
        return held
    if any(node.get("GPU", 0) for node in nodes):
        return "cuda"
    if resources_of(how, "cpu").slots_of(nodes):
        return "cpu"
    raise SweepError(
        "device: auto with a cluster that has no node with room for a pack yet, so that nothing says "
        "where to train; set device=cuda or device=cpu, and the sweep waits for such nodes"
    )


def check_local(how: RunningKeys) -> None:
    """Refuse a pack that this machine has no room for, before anything is started. Raises SweepError."""
    if how.cpus_per_pack > (cpus := usable_cpus()):
        raise SweepError(
            f"cpus_per_pack: {how.cpus_per_pack} with {cpus} CPUs for this process; set it to at "
            "most that, or give the --address of a cluster"
        )
