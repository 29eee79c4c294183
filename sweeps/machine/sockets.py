"""TCP sockets at which processes of this machine listen, from /proc."""

import ipaddress
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def listening(pids: Iterable[int]) -> dict[int, set[str]]:
    """Return the addresses at which each process listens; none if it has ended or is another user's."""
    addresses = dict(_sockets())
    return {pid: {addresses[link] for link in _links(pid) & addresses.keys()} for pid in pids}


def is_exposed(address: str) -> bool:
    """Tell whether other machines reach an address."""
    return not ipaddress.ip_address(address).is_loopback


def _links(pid: int) -> set[str]:
    """Return what the open files of a process are links to."""
    links = set()
    with suppress(OSError):
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                links.add(os.readlink(descriptor.path))
    return links


def _sockets() -> Iterator[tuple[str, str]]:
    """Yield the link of each listening socket, as /proc/PID/fd has it, and its address."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):  # a kernel without IPv6 has no tcp6
            for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN:
                    yield f"socket:[{fields[9]}]", _address(fields[1].partition(":")[0])


def _address(text: str) -> str:
    """Return an address of /proc/net, whose 32-bit words are in the machine's byte order."""
    words = [int(text[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address)
