"""Environment variables that Ray reads when it is imported; set them before `sweeps.cluster` is."""

import os

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def prepare(local: bool) -> None:
    """Quieten Ray; keep a local Ray on the loopback interface.

    Ray's own default is to listen on every interface. Without support for clusters, which a local Ray does
    not need, it binds 127.0.0.1 alone.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if local:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    else:
        # An attempt to reach something that is no Ray takes 40 s, and the default is 20 attempts.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")
