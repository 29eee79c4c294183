"""The environment of the Ray process."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from sweeps.cluster.environment import environment, plain_python


def test_a_local_ray_has_a_token_of_its_own_and_no_other_address(monkeypatch):
    ours = {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"}
    others = {"RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_JOB_CONFIG_JSON_ENV_VAR"}
    for name in ours | others:
        monkeypatch.setenv(name, "the user's")
    local, other = environment(None, False, Path()), environment(None, False, Path())
    assert len({local["RAY_AUTH_TOKEN"], other["RAY_AUTH_TOKEN"], "the user's"}) == 3
    assert local["RAY_AUTH_MODE"] == "token"
    assert others.isdisjoint(local)


@pytest.mark.parametrize(("token", "mode"), [(True, "token"), (False, "disabled")])
def test_a_cluster_is_shown_the_users_token_if_it_demands_one(monkeypatch, token, mode):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    values = environment("127.0.0.1:6379", token, Path())
    assert (values["RAY_AUTH_TOKEN"], values["RAY_AUTH_MODE"]) == ("mine", mode)


def test_workers_are_started_by_no_launcher_and_no_hook(monkeypatch):
    """Under `uv run` Ray would start them by `uv run`; hooks of others change their environment."""
    monkeypatch.setenv("RAY_RUNTIME_ENV_HOOK", "launcher.hook")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "1")
    for address in (None, "127.0.0.1:6379"):
        values = environment(address, False, Path("code"))
        assert values["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
        assert "RAY_RUNTIME_ENV_HOOK" not in values


def test_ray_runs_without_options_of_the_commands_python(monkeypatch):
    """Ray reads docstrings, which PYTHONOPTIMIZE=2 takes away, and warnings end what PYTHONWARNINGS says."""
    for name, value in {"PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error"}.items():
        monkeypatch.setenv(name, value)
        assert name not in environment(None, False, Path("code"))


@pytest.mark.parametrize("name", ["my venv", "it's", 'a "b"', "$HOME", "a;b", "é"])
def test_ray_gets_a_path_of_python_that_a_shell_reads_as_it_is(tmp_path, monkeypatch, name):
    prefix = tmp_path / name
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", str(prefix / "bin" / "python"))
    for _ in range(2):  # the second for a Ray that is started again
        python = plain_python(tmp_path / "link")
        assert shlex.quote(python) == python
        assert os.path.samefile(python, prefix / "bin" / "python")


def test_a_plain_path_of_python_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert plain_python(tmp_path / "link") == "/usr/bin/python3"
    assert not (tmp_path / "link").exists()
