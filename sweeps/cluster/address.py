"""Which cluster an address means. Knows Ray's ways, not Ray.

`ray start --head` writes down where it listens. Ray's own `auto` would take any Ray that runs on the machine,
the private one of another sweep too; here it means the cluster that was started with `ray start`, or
RAY_ADDRESS.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from sweeps import SweepError

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


def uses_proxy(environment: Mapping[str, str]) -> bool:
    """Tell whether Ray takes the proxy of the environment, which it does not unless told so."""
    return environment.get("RAY_grpc_enable_http_proxy", "0").lower() in ("1", "true")


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
    """Return the address in RAY_ADDRESS, or that which `ray start --head` wrote down."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address not in ("", "auto"):
        return address
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - as Ray does
    with contextlib.suppress(OSError):
        return Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip()
    raise SweepError(f"no Ray at auto: no cluster was started on this machine with `ray start`; {HELP}")


def _checked(address: str, given: str) -> str:
    """Refuse an address that nothing listens at within seconds, where Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SweepError(f"--address {given}: write it as auto, HOST:PORT or ray://HOST:PORT; {HELP}")
    if uses_proxy(os.environ):
        return address  # the proxy alone may reach it
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, UnicodeError) as error:
        where = given if given == address else f"{given}, which is {address}"
        raise SweepError(f"no Ray at {where}: {error}; {HELP}") from None
    return address
