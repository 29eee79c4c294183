"""The environment of the Ray process, which Ray reads when it is imported."""

import os
import secrets
import shlex
import sys
from pathlib import Path

from sweeps.cluster.ray_internals import LOCAL_DEFAULTS, LOCAL_ENVIRONMENT

TUNE = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""What Tune reads where it runs, which may be a task on the cluster."""

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}

_NO_HOOKS = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
"""Under `uv run` Ray would start workers by `uv run` too, in a copy of the working folder."""

_PATHS = ("RAY_AUTH_TOKEN_PATH", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
"""Paths that count from the folder of the command, in which the process does not run."""

_HOOKS = ("RAY_RUNTIME_ENV_HOOK",)
"""Name functions by which launchers change the workers' environment; the sweep defines all of it."""

_OF_OTHERS = ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_JOB_CONFIG_JSON_ENV_VAR")
"""Name the cluster, the token and the runtime environment of a job, none of which a local Ray has."""

_OF_PYTHON = ("PYTHONOPTIMIZE", "PYTHONWARNINGS")
"""Options of the command's Python: Ray needs docstrings, and libraries warn of each other."""


def plain_python(folder: Path) -> str:
    """Return this Python by a path that Ray can hand to a shell, which it does without quotes.

    Where the path has spaces, quotes or the like, it is that of a link to the environment.

    Args:
        folder: for the link, whose path is plain; it is made.
    """
    executable, prefix = Path(sys.executable), Path(sys.prefix)
    if shlex.quote(sys.executable) == sys.executable or not executable.is_relative_to(prefix):
        return sys.executable
    folder.mkdir(exist_ok=True)
    link = folder / "python"
    if not link.is_symlink():
        link.symlink_to(prefix, target_is_directory=True)
    return str(link / executable.relative_to(prefix))


def environment(address: str | None, token: bool, code: Path) -> dict[str, str]:
    """Return the environment of a process that connects to the address, or starts a local Ray for None.

    A local Ray listens at 127.0.0.1 only and gets a new token. Ray's defaults are all interfaces, and a token
    file in the user's home, which changes how clusters start from then on.

    Args:
        address: of a cluster.
        token: whether the cluster demands one.
        code: folder from which the project is imported, and in which the process runs.
    """
    values = {**_QUIET, **os.environ, **TUNE, **_NO_HOOKS}
    for name in (*_HOOKS, *_OF_PYTHON):
        values.pop(name, None)
    values |= {name: os.path.abspath(values[name]) for name in _PATHS if values.get(name)}
    others = (os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)
    values["PYTHONPATH"] = os.pathsep.join([str(code), *others])
    if address is None:
        for name in _OF_OTHERS:
            values.pop(name, None)
        values = {**LOCAL_DEFAULTS, **values, **LOCAL_ENVIRONMENT}
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    else:
        values["RAY_AUTH_MODE"] = "token" if token else "disabled"
    return values
