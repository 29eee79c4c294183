"""A cluster of two real Ray nodes that know nothing of this project, and what a local Ray listens at.

The nodes run in a network of their own (a Linux namespace), started as docs/clusters.md says, by a user who
has set nothing of Ray's.
"""

import ipaddress
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from analysis.tables.files import read_members
from search_spaces import load
from sweeps.worker.states import Folder
from tests.recipe import write_beside, write_recipe
from tests.sweeps.conftest import SERIAL, add_seconds, all_processes, clean_environment, sets, wait_until

pytestmark = pytest.mark.process

PORT, CLIENT_PORT = 6399, 10001
TINY = ("variants=[]", "latents=[[4, 4]]", "seeds=1", "search=grid", "pack_size=1")
TINY += ("steps=20", "eval_every=20")


FOUND = """
import sys
from importlib.util import find_spec
print(*(name for name in sys.argv[1:] if find_spec(name)))
"""
"""Prints which of some packages a Python finds, without the seconds of their imports."""


class Nodes:
    """Two Ray nodes of one CPU each; all of them ends with the process that holds their namespace."""

    NAMESPACE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
    READY = (
        "ip link set lo up && mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray && echo ready && read line"
    )

    def __init__(self, folder: Path, python: Path, home: Path, unseen: Path | None = None) -> None:
        """Make the namespace; skip the test where that is refused.

        Args:
            folder: for what the nodes write.
            python: that has Ray.
            home: of the user who starts them.
            unseen: a folder whose content no node sees.
        """
        self._folder, self._python, self._home, self._unseen = folder, python, home, unseen
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
    def home(self) -> str:
        """The home of the user who started the nodes."""
        return str(self._home)

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command to run it beside the nodes."""
        return ("nsenter", "--target", str(self._inside), "--net", "--pid", "--mount")

    def start(self, *arguments: str, **environment: str) -> None:
        """Start a node and wait for it: `ray start` with the nodes' own Python, in an empty folder."""
        elsewhere = self._folder / f"node{len(self._logs)}"
        elsewhere.mkdir()
        self._logs.append(elsewhere / "log")
        command = [str(self._python), "-m", "ray.scripts.scripts", "start", "--block", *arguments]
        command += ["--node-ip-address=127.0.0.1"]
        if self._unseen is not None:
            hide = f"mount -t tmpfs tmpfs {shlex.quote(str(self._unseen))} && exec {shlex.join(command)}"
            command = ["unshare", "--mount", "sh", "-c", hide]
        with self._logs[-1].open("w") as log:
            subprocess.Popen(
                [*self.prefix, *command],
                cwd=elsewhere,
                env=clean_environment(self._home) | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: "Ray runtime started" in self._logs[-1].read_text(), "the node runs", 120)

    def training(self) -> dict[int, int]:
        """Return the workers that train at this moment, with the node (its raylet's id) of each."""
        namespace = os.readlink(f"/proc/{self._inside}/ns/pid")
        found = {}
        for pid, (_, parent, name) in all_processes().items():
            if re.match(r"ray::(_Inner\.tra|PackTraina)", name) and _namespace(pid) == namespace:
                found[pid] = parent
        return found

    def both_train(self) -> Callable[[], bool]:
        """Return the look whether two nodes have trained so far."""
        used: set[int] = set()

        def look() -> bool:
            used.update(self.training().values())
            return len(used) == 2

        return look

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

    Its one .pth file names the folders of the installed packages; the .pth files in there, of which an
    editable installation is one, are not processed.
    """
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    packages, project = {"ray", "torch"}, {"ouvae", "sweeps", "search_spaces"}
    installed = {str(Path(find_spec(name).origin).parents[1]) for name in packages}
    (site_packages / "installed.pth").write_text("\n".join(installed))
    python = folder / "bin" / "python"
    command = [str(python), "-c", FOUND, *packages, *project]
    found = set(subprocess.check_output(command, cwd=folder, text=True).split())
    if found & project:
        pytest.skip("the project is installed as a copy, so that no Python here can be without it")
    assert found == packages
    return python


@pytest.fixture(scope="module")
def unseen(runs: Path) -> Path:
    """Return a folder for runs whose nodes do not see them."""
    folder = runs / "unseen"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory, bare_python: Path, unseen: Path) -> Iterator[Nodes]:
    """Start a head of one CPU where there is a token, which it then demands."""
    folder = tmp_path_factory.mktemp("nodes")
    home = folder / "home"
    write_token(home, secrets.token_hex(32))
    made = Nodes(folder, bare_python, home, unseen)
    try:
        made.start("--head", f"--port={PORT}", "--num-cpus=1")
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def nodes(head: Nodes) -> Nodes:
    """Start a second node beside the head; it is told to send the token."""
    head.start(f"--address=127.0.0.1:{PORT}", "--num-cpus=1", RAY_AUTH_MODE="token")
    return head


def write_token(home: Path, token: str) -> Path:
    """Write a token where Ray looks for it, and return the home."""
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(token)
    return home


@pytest.mark.proof
def test_a_sweep_on_two_nodes_survives_a_killed_worker(nodes, start_sweep, uninterrupted):
    """The cluster is found by itself, both nodes train, and the tables are those of a local Ray."""
    expected, _ = uninterrupted
    sweep = start_sweep("two_nodes", "--address", "auto", prefix=nodes.prefix, HOME=nodes.home)
    sweep.until(nodes.both_train(), "both nodes train")
    sweep.until(sweep.fragments, "a pack is finished")
    victims: dict[int, int] = {}
    sweep.until(lambda: victims.update(nodes.training()) or victims, "a worker trains")
    before = len(sweep.fragments())
    os.kill(min(victims), signal.SIGKILL)
    assert before < len(expected.fragments()), "the worker was killed while there was work"
    assert sweep.wait() == 0, sweep.output
    assert "Ray: 2 nodes, 2 CPUs: 2 packs at once (cpu, as there is no GPU" in sweep.output
    assert sweep.counts() == (0, 12)
    assert set(sweep.fragments()) == set(expected.fragments())
    assert sweep.tables() == expected.tables()


@pytest.mark.proof
def test_a_users_own_system_and_data_set_train_on_both_nodes_through_ray_client(nodes, start_sweep, tmp_path):
    """Their files lie beside the space, where neither node looks for modules; the driver is no node."""
    space = write_recipe(tmp_path)
    longer = sets(["search=grid", "pack_size=1", "seeds=2", "steps=600", "eval_every=300"])
    address = f"ray://127.0.0.1:{CLIENT_PORT}"
    sweep = start_sweep(
        "own", *longer, "--address", address, space=space, prefix=nodes.prefix, HOME=nodes.home
    )
    sweep.until(nodes.both_train(), "both nodes train")
    assert sweep.wait() == 0, sweep.output
    assert "Ray: 2 nodes, 2 CPUs" in sweep.output
    assert sweep.counts() == (0, 6)
    rows = read_members(sweep.out).to_pylist()
    assert Counter(row["status"] for row in rows) == {"completed": 6}
    assert {(row["system"], row["dataset"]) for row in rows} == {("flat:FlatVAE", "stripes:Stripes")}
    assert len(sweep.statuses("member")) == 6
    here = start_sweep("own_here", *longer, "--address", "serial", space=space)
    assert here.wait() == 0, here.output
    assert here.tables() == sweep.tables()


@pytest.mark.parametrize("address", [f"127.0.0.1:{PORT}", f"ray://127.0.0.1:{CLIENT_PORT}"])
@pytest.mark.parametrize("has_token", [True, False])
def test_a_token_that_is_refused_is_said_to_be_the_reason(head, start_sweep, tmp_path, address, has_token):
    home = tmp_path / "home"
    if has_token:
        write_token(home, secrets.token_hex(32))
    started = time.monotonic()
    sweep = start_sweep(
        "token", *sets(TINY), "--address", address, prefix=head.prefix, HOME=str(home), MPLCONFIGDIR="."
    )
    assert sweep.wait() == 2, sweep.output
    *announced, error = sweep.output.splitlines()
    assert announced[1:] == [f"connecting to the Ray at {address}"]
    assert error.startswith(f"error: the Ray at {address} ")
    found = f"does not take the token of {home}/.ray/auth_token" if has_token else "demands a token"
    assert found in error
    assert "copy ~/.ray/auth_token of the machine on which the cluster was started" in error
    assert time.monotonic() - started < 30
    assert not sweep.out.exists()


def test_a_pack_goes_on_from_the_state_that_ray_has_carried(head, start_sweep, small_space):
    """The head does not see the run directory; the state comes from a command that was killed."""
    steps = 4 * load(str(small_space)).cells()[0].steps
    keys = ["variants=[]", "latents=[[6, 6]]", "rho=[0.6]", "search=grid", "seeds=1"]
    keys += [f"steps={steps}", f"eval_every={steps}"]
    often = sets([*keys, "checkpoint_minutes=0.001"])
    expected = start_sweep("seen", *sets(keys), *SERIAL)
    killed = start_sweep("unseen/carried", *often, *SERIAL)
    states = Folder(str(killed.out / "checkpoints"))
    killed.until(states.packs, "the pack has saved its state")
    killed.kill()
    ((pack_id, saved),) = add_seconds(states).items()

    sweep = start_sweep("unseen/carried", *often, "--address", "auto", prefix=head.prefix, HOME=head.home)
    sweep.until(lambda: states.read(pack_id) != saved, "Ray has carried a state")
    for pid in head.training():
        os.kill(pid, signal.SIGKILL)
    assert sweep.wait() == 0, sweep.output
    assert f"does not see {sweep.out}: Ray carries the states of its packs here" in sweep.output
    assert "starts afresh" not in sweep.output
    assert expected.wait() == 0, expected.output
    assert sweep.tables() == expected.tables()
    (row,) = read_members(sweep.out).to_pylist()
    assert row["seconds"] > 10_000
    assert states.packs() == []


def test_a_cluster_without_nodes_and_without_a_token(start_sweep, uninterrupted, bare_python, tmp_path, runs):
    """The recipe where only local sweeps have used Ray: a head that trains nothing, nodes that come later.

    The recipe's system imports and reads what
    lies beside it, and both are broken before the node comes: it trains with the code of the start.
    """
    space = write_recipe(tmp_path)
    write_beside(tmp_path)
    nodes = Nodes(tmp_path, bare_python, runs / "home")
    try:
        nodes.start("--head", f"--port={PORT}", "--num-cpus=0")
        undecided = start_sweep("undecided", *sets(TINY), "--address", "auto", prefix=nodes.prefix)
        waiting = start_sweep(
            "waiting",
            *sets(["search=grid", "seeds=1", "steps=20", "eval_every=20", "device=cpu"]),
            *("--address", f"127.0.0.1:{PORT}"),
            space=space,
            prefix=nodes.prefix,
        )
        assert undecided.wait() == 2
        assert "device: auto with a cluster that has no node with room" in undecided.output
        assert not undecided.out.exists()
        home = write_token(tmp_path / "later", secrets.token_hex(32))
        impatient = start_sweep(
            "impatient",
            *sets([*TINY, "device=cuda", "wait_minutes=0.1"]),
            *("--address", "auto"),
            prefix=nodes.prefix,
            HOME=str(home),
            MPLCONFIGDIR=".",
        )
        assert impatient.wait() == 1, "a token that the cluster does not know of is not shown to it"
        assert "error: no node with 1 CPU and 1 GPU for a pack came within 6 s" in impatient.output
        waiting.until(lambda: "waiting for a node with 1 CPU free" in waiting.output, "it says so")
        for name in ("scale.py", "scale.json"):
            (tmp_path / name).write_text("2")
        nodes.start(f"--address=127.0.0.1:{PORT}", "--num-cpus=1")
        assert waiting.wait() == 0, waiting.output
        assert "Ray: 1 node, 0 CPUs: 0 packs at once (cpu)" in waiting.output
        assert waiting.counts() == (0, 3)
        for sweep in (undecided, impatient, waiting):
            assert "Traceback" not in sweep.output
    finally:
        nodes.end()


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
