"""The environment of the Ray process, which Ray reads when it is imported."""

import os
import secrets

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


def environment(address: str | None, token: bool) -> dict[str, str]:
    """Return the environment of a process that connects to the address, or starts a local Ray for None.

    A local Ray listens on the loopback interface alone and has a token of its own: Ray's defaults are every
    interface, and a token file in the user's home that changes how clusters start from then on.

    Args:
        address: of a cluster.
        token: whether the cluster demands one.
    """
    values = {**_QUIET, **os.environ, **TUNE}
    if paths := values.get("PYTHONPATH"):  # relative to the working folder, which is not the process's
        values["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths.split(os.pathsep)))
    if address is None:
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            values.pop(name, None)
        # Without support for clusters, which a local Ray does not need, it binds 127.0.0.1 alone.
        values["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # A local Ray that has lost its server does not come back; the default is to wait 60 s for it.
        values.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
        # The workers that it starts beforehand, one a CPU, lack the runtime environment, and none is used.
        values.setdefault("RAY_prestart_worker_first_driver", "0")
    else:
        values["RAY_AUTH_MODE"] = "token" if token else "disabled"
    return values
