"""Where processes listen, and who reaches it."""

import ipaddress
import subprocess
import sys

import pytest

from sweeps.machine.sockets import _address, is_exposed, listening

SERVE = """
import socket, sys
server = socket.create_server((sys.argv[1], 0))
print(flush=True)
sys.stdin.read()
"""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is accepted there


@pytest.mark.parametrize(("address", "exposed"), [("127.0.0.1", False), (EVERYWHERE, True)])
def test_a_process_listens_where_it_was_bound(address, exposed):
    command = [sys.executable, "-c", SERVE, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert listening([process.pid]) == {process.pid: {address}}
        assert is_exposed(address) == exposed
        process.stdin.close()
    assert listening([process.pid]) == {process.pid: set()}, "it has ended"


@pytest.mark.parametrize(
    ("bound", "address", "exposed"),
    [
        ("::1", "::1", False),
        ("::", "::", True),
        ("2001:db8::7", "2001:db8::7", True),
        ("::ffff:127.0.0.1", "127.0.0.1", False),
        ("::ffff:10.0.0.7", "10.0.0.7", True),
    ],
)
def test_an_address_of_ipv6_is_four_words(bound, address, exposed):
    packed = ipaddress.ip_address(bound).packed
    words = (int.from_bytes(packed[place : place + 4], sys.byteorder) for place in range(0, 16, 4))
    assert _address("".join(f"{word:08X}" for word in words)) == address
    assert is_exposed(address) == exposed
