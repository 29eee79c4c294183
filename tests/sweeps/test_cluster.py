"""A cluster of two real Ray nodes that know nothing of this project, and what a local Ray listens at.

The nodes run in a network of their own (a Linux namespace), with tokens, as on a cluster of machines.
"""

import ipaddress
import os
import re
import secrets
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

PORT, CLIENT_PORT = 6399, 10001
TINY = ("latents=[[4, 4]]", "seeds=1", "search=grid", "pack_size=1", "steps=20", "eval_every=20")


class Nodes:
    """Two Ray nodes of one CPU each; all of them ends with the process that holds their namespace."""

    NAMESPACE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
    READY = (
        "ip link set lo up && mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray && echo ready && read line"
    )

    def __init__(self, folder: Path, python: Path) -> None:
        """Make the namespace; skip the test where that is refused."""
        self._folder, self._python = folder, python
        self.token = folder / "token"
        with os.fdopen(os.open(self.token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120",  # of 30: the two cores are busy
        }
        self._logs: list[Path] = []
        self._holder = subprocess.Popen(
            [*self.NAMESPACE, "sh", "-c", self.READY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        answer = self._holder.stdout.readline().strip()
        if answer != "ready":
            self.end()
            pytest.skip(f"a network namespace is refused here: {answer}")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        self._inside = int(children[0])

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command to run it beside the nodes."""
        return ("nsenter", "--target", str(self._inside), "--net", "--pid", "--mount")

    def start(self, *arguments: str) -> None:
        """Start a node: `ray start` with the nodes' own Python, in an empty folder."""
        elsewhere = self._folder / f"node{len(self._logs)}"
        elsewhere.mkdir()
        self._logs.append(elsewhere / "log")
        command = [str(self._python), "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
        command += ["--node-ip-address=127.0.0.1", "--disable-usage-stats", *arguments]
        with self._logs[-1].open("w") as log:
            subprocess.Popen(
                [*self.prefix, *command],
                cwd=elsewhere,
                env={key: text for key, text in os.environ.items() if not key.startswith("RAY_")}
                | self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def started(self, number: int) -> bool:
        """Whether a node, in the order of their start, runs."""
        return "Ray runtime started" in self._logs[number].read_text()

    def training(self, all_processes: dict[int, tuple[int, int, str]]) -> dict[int, int]:
        """Return the workers that train at this moment, with the node (its raylet's id) of each."""
        namespace = os.readlink(f"/proc/{self._inside}/ns/pid")
        found = {}
        for pid, (_, parent, name) in all_processes.items():
            if re.match(r"ray::(_Inner\.tra|PackTraina)", name) and _namespace(pid) == namespace:
                found[pid] = parent
        return found

    def end(self) -> None:
        """End everything in the namespace."""
        self._holder.kill()
        self._holder.communicate()


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python that has the project's dependencies and not the project.

    Its one .pth file names the folder of the installed packages; the .pth files in there, of which an
    editable installation is one, are not processed.
    """
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    installed = sysconfig.get_paths()
    (site_packages / "installed.pth").write_text(f"{installed['purelib']}\n{installed['platlib']}\n")
    python = folder / "bin" / "python"
    for name, found in (("ray, torch", True), ("ouvae", False), ("sweeps", False), ("search_spaces", False)):
        done = subprocess.run(
            [str(python), "-c", f"import {name}"], cwd=folder, capture_output=True, text=True
        )
        if done.returncode == 0 and not found:
            pytest.skip("the project is installed as a copy, so that no Python here can be without it")
        assert (done.returncode == 0) == found, done.stderr
    return python


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, bare_python: Path, eventually: Callable
) -> Iterator[Nodes]:
    """Start the two nodes."""
    made = Nodes(tmp_path_factory.mktemp("nodes"), bare_python)
    try:
        made.start(
            "--head", f"--port={PORT}", "--include-dashboard=false", f"--ray-client-server-port={CLIENT_PORT}"
        )
        eventually(lambda: made.started(0), "the head runs", 120)
        made.start(f"--address=127.0.0.1:{PORT}")
        eventually(lambda: made.started(1), "the second node runs", 120)
        yield made
    finally:
        made.end()


def sets(overrides: Sequence[str]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def test_a_sweep_on_two_nodes_survives_a_killed_worker(
    nodes, start_sweep, uninterrupted, eventually, all_processes
):
    """Both nodes train, and the tables are those of an undisturbed sweep on a local Ray."""
    expected, _ = uninterrupted
    sweep = start_sweep(
        "two_nodes", "--address", f"127.0.0.1:{PORT}", prefix=nodes.prefix, **nodes.environment
    )
    used: set[int] = set()

    def both() -> bool:
        used.update(nodes.training(all_processes()).values())
        return len(used) == 2

    sweep.until(both, "both nodes train")
    sweep.until(sweep.fragments, "a pack is finished")
    victims: dict[int, int] = {}
    sweep.until(lambda: victims.update(nodes.training(all_processes())) or victims, "a worker trains")
    before = len(sweep.fragments())
    os.kill(min(victims), signal.SIGKILL)
    assert before < len(expected.fragments()), "the worker was killed while there was work"
    assert sweep.wait() == 0, sweep.output
    assert "Ray: 2 nodes, 2 CPUs: 2 packs at once (cpu)" in sweep.output
    assert sweep.counts() == (0, 12)
    assert set(sweep.fragments()) == set(expected.fragments())
    assert sweep.tables() == expected.tables()


def test_a_cluster_is_found_by_itself_and_through_ray_client(nodes, start_sweep):
    """--address auto, and ray://HOST:PORT from a driver that is no node; at once, as two users would."""
    addresses = {"auto": "auto", "client": f"ray://127.0.0.1:{CLIENT_PORT}"}
    sweeps = {
        name: start_sweep(name, *sets(TINY), "--address", address, prefix=nodes.prefix, **nodes.environment)
        for name, address in addresses.items()
    }
    for sweep in sweeps.values():
        assert sweep.wait() == 0, sweep.output
        assert "Ray: 2 nodes, 2 CPUs" in sweep.output
        assert sweep.counts() == (0, 2)
    assert sweeps["auto"].tables() == sweeps["client"].tables()


def test_a_wrong_token_is_refused_and_said(nodes, start_sweep, tmp_path):
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    environment = nodes.environment | {"RAY_AUTH_TOKEN_PATH": str(token)}
    sweep = start_sweep(
        "wrong_token", *sets(TINY), "--address", f"127.0.0.1:{PORT}", prefix=nodes.prefix, **environment
    )
    assert sweep.wait() == 2, sweep.output
    assert "error: " in sweep.output
    assert "Traceback" not in sweep.output


def test_a_local_sweep_listens_on_loopback_alone(uninterrupted):
    """Every TCP socket of the driver, its Ray and its workers, looked at all the time that it ran."""
    _, listening = uninterrupted
    names = {name for _, name in listening}
    assert {"gcs_server", "raylet"} <= names, "these listen, or the look was no good"
    assert len(names) > 3
    open_to_others = {
        (address, name) for address, name in listening if not ipaddress.ip_address(address).is_loopback
    }
    assert open_to_others == set()
