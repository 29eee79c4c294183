"""Which cluster an address means. Imports no Ray.

`ray start --head` writes a file with its address. Ray's own `auto` would take any Ray on this machine, also
the local one of another sweep. Here `auto` means RAY_ADDRESS, or the cluster that `ray start` started.
"""

import contextlib
import os
import socket

from sweeps import SweepError
from sweeps.cluster.ray_internals import started_cluster_file, uses_proxy

HELP = (
    "start a cluster with `ray start --head`, give --address HOST:PORT of a running one, "
    "or leave --address out for a local Ray"
)


def resolve(address: str | None) -> str | None:
    """Return the address of a cluster that listens: HOST:PORT or ray://HOST:PORT; None for a local Ray.

    Raises:
        SweepError: it is no address, `auto` finds no cluster, or nothing listens there; a local Ray has no
            loopback interface.
    """
    if address is None:
        _check_loopback()
        return None
    if address == "auto":
        return _checked(_started_cluster(), "auto")
    return _checked(address, address)


def _check_loopback() -> None:
    """Refuse a machine that cannot reach itself, as in a sandbox, where Ray would try for minutes."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise SweepError(
            f"a local Ray cannot be started: this machine does not reach itself at 127.0.0.1 ({error}); "
            "bring its loopback interface up (ip link set lo up), or train without Ray: --address serial"
        ) from None


def _started_cluster() -> str:
    """Return the address in RAY_ADDRESS, or the one that `ray start --head` wrote."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address not in ("", "auto"):
        return address
    with contextlib.suppress(OSError):
        return started_cluster_file(os.environ).read_text(encoding="utf-8").strip()
    raise SweepError(f"no Ray at auto: no cluster was started on this machine with `ray start`; {HELP}")


def _checked(address: str, given: str) -> str:
    """Refuse an address that nothing listens at within seconds, where Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SweepError(f"--address {given}: write it as auto, HOST:PORT or ray://HOST:PORT; {HELP}")
    if uses_proxy(os.environ):
        return address  # maybe only the proxy reaches it
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, UnicodeError) as error:
        where = given if given == address else f"{given}, which is {address}"
        raise SweepError(f"no Ray at {where}: {error}; {HELP}") from None
    return address
