"""Whether a cluster demands a token, and accepts the token of this machine. Speaks gRPC, imports no Ray.

`ray start` demands a token where it finds one. Ray refuses a driver without that token, and a driver with a
token that is not demanded, late and without the reason. The status of one call tells in advance.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import grpc

from sweeps import SweepError
from sweeps.cluster.ray_internals import CLIENT_METHOD, NODE_METHOD, uses_proxy

PATIENCE_SECONDS = 15.0


def is_demanded(address: str) -> bool:
    """Tell whether the cluster at HOST:PORT or ray://HOST:PORT demands a token.

    Raises:
        SweepError: it demands another token than that which is here; what listens there is no Ray.
    """
    if _answer(address, None) != grpc.StatusCode.UNAUTHENTICATED:
        return False
    token, source = find(os.environ)
    if token and _answer(address, token) != grpc.StatusCode.UNAUTHENTICATED:
        return True
    problem = f"does not take the token of {source}" if token else "demands a token, and there is none here"
    raise SweepError(
        f"the Ray at {address} {problem}; copy ~/.ray/auth_token of the machine on which the cluster was "
        "started to the same place here, or name such a file in RAY_AUTH_TOKEN_PATH"
    )


def find(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the token that Ray finds, and where, in the order in which it looks; empty without one."""
    if token := environment.get("RAY_AUTH_TOKEN", "").strip():
        return token, "RAY_AUTH_TOKEN"
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or home / ".ray" / "auth_token")
    try:
        return path.read_text(encoding="utf-8").strip(), str(path)
    except (OSError, UnicodeDecodeError):
        return "", str(path)


def _answer(address: str, token: str | None) -> grpc.StatusCode:
    """Return the status of the server's answer to a call with that token, or without one."""
    client = address.startswith("ray://")
    metadata = [("authorization", f"Bearer {token}")] if token else []
    options = [("grpc.enable_http_proxy", int(uses_proxy(os.environ)))]
    with grpc.insecure_channel(address.removeprefix("ray://"), options) as channel:
        call = channel.unary_unary(CLIENT_METHOD if client else NODE_METHOD)
        try:
            call(b"", timeout=PATIENCE_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            if code == grpc.StatusCode.UNAVAILABLE:
                raise SweepError(f"what listens at {address} is no Ray: {error.details()}") from None
            return code
        return grpc.StatusCode.OK
