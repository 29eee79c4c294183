"""The environment of the Ray process, which Ray reads when it is imported, and the token in it."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

TUNE = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""What Tune reads where it runs, which may be a task on the cluster."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def environment(address: str | None) -> dict[str, str]:
    """Return the environment of a process that connects to the address, or starts a local Ray for None.

    A local Ray listens on the loopback interface alone and has a token of its own: Ray's defaults are every
    interface, and a token file in the user's home that changes how clusters start from then on. A cluster is
    shown a token where there is one: `ray start` demands it where it finds one, and takes it otherwise.
    """
    values = {**_QUIET, **os.environ, **TUNE}
    if address is None:
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            values.pop(name, None)
        # Without support for clusters, which a local Ray does not need, it binds 127.0.0.1 alone.
        values["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # A local Ray that has lost its server does not come back; the default is to wait 60 s for it.
        values.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
        return values
    # An attempt to reach something that is no Ray takes 40 s, and the default is 20 attempts.
    values.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")
    if token_source(values) is not None:
        values.setdefault("RAY_AUTH_MODE", "token")
    return values


def token_source(values: Mapping[str, str]) -> str | None:
    """Return where Ray finds a token, in the order in which it looks; None where there is none."""
    if values.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    if path := values.get("RAY_AUTH_TOKEN_PATH"):
        return path
    file = Path(values.get("HOME") or Path.home()) / ".ray" / "auth_token"
    return str(file) if file.is_file() and file.stat().st_size else None


def token_help(values: Mapping[str, str]) -> str:
    """Return how to mend that the cluster does not take the token of this environment."""
    source = token_source(values)
    found = f"the token of {source} was sent" if source else "no token was found here"
    return (
        f"the cluster wants another token ({found}); copy ~/.ray/auth_token of the machine on which the "
        "cluster was started to the same place here, or name the file in RAY_AUTH_TOKEN_PATH"
    )
