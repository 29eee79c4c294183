"""The command line: what it refuses, and how; what it prints without training."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest
import torch

import search_spaces
from ouvae.declared import labels
from sweeps.phase_transition import main
from sweeps.plan.cells import Point, plan_cells
from sweeps.plan.data_sets import DataSets
from tests.sweeps.conftest import ROOT, SERIAL, clean_environment, drawing_nothing, held, opened, sets
from tests.sweeps.record.conftest import snapshot, train  # noqa: F401

TIMEOUT_SECONDS = 300


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run the command line in this process, in an empty folder; return exit code, output and errors.

    A dry run times few steps.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sweeps.preview.TIMED_SECONDS", 0.0)
    before = dict(os.environ)  # what Ray reads is set there

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield run
    os.environ.clear()
    os.environ.update(before)


EARLY = {
    "a date": (["--set", "steps=2024-01-13"], ["steps: found '2024-01-13'"]),
    "an impossible date": (["--set", "steps=2024-13-45"], ["steps: found '2024-13-45'"]),
    "3,000 nested brackets": (["--set", "rho=" + 3000 * "[" + 3000 * "]"], ["--set rho=", "levels"]),
    "a key given twice": (
        ["--set", "rho={low: 0.5, low: 0.6, high: 1, points: 3}"],
        ["'low' is given twice"],
    ),
    "more CPUs than there are": (["--set", "cpus_per_pack=4096"], ["cpus_per_pack: 4096 with", "CPUs"]),
    "a malformed tracking URI": (["--tracking-uri", "http://[::1"], ["tracking URI 'http://[::1'"]),
    "a password in a tracking URI": (
        ["--tracking-uri", "http://me:s3cret@127.0.0.1:9"],
        ["http://127.0.0.1:9 cannot be used", "Start the server"],
    ),
    "credentials in a URI of checkpoints": (
        ["--checkpoints", "s3://me:s3cret@bucket/states"],
        ["--checkpoints 's3://bucket/states': it has an @", "AWS_ACCESS_KEY_ID"],
    ),
    "checkpoints where nothing can be written": (
        ["--checkpoints", "file:///proc/states"],
        ["--checkpoints 'file:///proc/states': a state cannot be written", "--checkpoints run"],
    ),
}
"""What is refused before anything is started."""

BAD = {
    "an unknown space": (["--space", "digit"], ["unknown space 'digit'", "did you mean digits?"]),
    "a file that is not there": (["--space", "mine.yaml"], ["no space file mine.yaml", "digits"]),
    "two bad keys at once": (
        ["--set", "stepps=5", "--set", "seeds=0"],
        ["stepps: unknown key, did you mean steps?", "seeds: found 0"],
    ),
    "rho above 1": (["--set", "rho=[0.5, 1.5]"], ["rho.1: found 1.5", "give 1 or less"]),
    "a latent layer of nothing": (["--set", "latents=[[4, 0]]"], ["latents.0.1: found 0"]),
    "no KEY=VALUE": (["--set", "steps"], ["write it as KEY=VALUE"]),
    "a pack of nothing": (["--pack-size", "0"], ["pack_size: found 0"]),
    "an address that is none": (["--address", "nowhere"], ["--address nowhere", "auto, HOST:PORT or ray://"]),
    "a cluster that is not there": (
        ["--address", "127.0.0.1:9"],
        ["no Ray at 127.0.0.1:9", "ray start --head"],
    ),
    "a client server that is not there": (
        ["--address", "ray://127.0.0.1:9"],
        ["no Ray at ray://127.0.0.1:9"],
    ),
    "a data folder without the data": (
        ["--space", "mnist_mlp", "--data-dir", "."],
        ["train-images-idx3-ubyte"],
    ),
    "a folder that cannot be made": (["--out", "/proc/nowhere"], ["/proc/nowhere", "give a writable --out"]),
}


@pytest.mark.process
@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["sweep", "dry run"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(command, tmp_path, case, dry):
    arguments, expected = BAD[case]
    started = time.monotonic()
    code, out, err = command(*arguments, *dry)
    assert code == 2
    assert err.startswith("error: ")
    assert "Traceback" not in out + err
    for text in expected:
        assert text in err
    assert time.monotonic() - started < TIMEOUT_SECONDS
    assert not (tmp_path / "runs").exists(), "a refused sweep leaves no directory behind"


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["sweep", "dry run"])
@pytest.mark.parametrize("case", EARLY)
def test_bad_input_is_refused_before_anything_is_started(command, tmp_path, monkeypatch, case, dry):
    arguments, expected = EARLY[case]
    monkeypatch.setattr("sweeps.preparing.RayProcess", None)
    code, out, err = command(*arguments, *dry)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err) < 1000
    assert "s3cret" not in err
    for text in expected:
        assert text in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--out", "--data-dir"])
def test_a_home_that_nobody_has(command, tmp_path, capsys, option):
    with pytest.raises(SystemExit) as ended:
        command(f"{option}=~nobody.here/x")
    assert ended.value.code == 2
    assert (
        f"argument {option}: '~nobody.here/x': no home folder ~nobody.here is known"
        in capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def test_slots_are_those_of_the_cpus_that_may_be_used(command, monkeypatch):
    for module in ("executors.places", "preview"):
        monkeypatch.setattr(f"sweeps.{module}.usable_cpus", lambda: 1)
    assert "on the 1 slot of this machine" in command("--dry-run", *QUICKLY_TIMED)[1]
    assert "cpus_per_pack: 2 with 1 CPUs for this process" in command("--set", "cpus_per_pack=2")[2]


def test_a_gpu_that_this_machine_lacks(command, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    code, _, err = command("--set", "device=cuda", *SERIAL)
    assert code == 2
    assert "0 packs at once, and a pack asks for 1 CPU and 1 GPU" in err
    assert not (tmp_path / "runs" / "digits").exists()


@pytest.mark.parametrize("content", ["steps: 2024-01-13\n", 3000 * "[" + 3000 * "]", "a: 1\na: 2\n", "{"])
def test_a_broken_space_in_the_run_directory_is_named(command, tmp_path, content):
    run = tmp_path / "runs" / "digits"
    run.mkdir(parents=True)
    (run / "space.yaml").write_text(content)
    code, _, err = command()
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) < 60
    assert "space" in err
    assert (run / "space.yaml").read_text() == content


def test_an_output_path_that_is_a_file(command, tmp_path):
    (tmp_path / "taken").write_text("a file of the user's")
    code, _, err = command("--out", "taken")
    assert code == 2
    assert "cannot write to the output directory taken" in err
    assert (tmp_path / "taken").read_text() == "a file of the user's"


def test_a_cluster_that_is_not_running_is_not_found_by_itself(command, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "no_cluster_here"))
    code, _, error = command("--address", "auto")
    assert code == 2
    assert "no Ray at auto: no cluster was started" in error


QUICKLY_TIMED = sets(["pack_size=1", "eval_images=20"])
"""What makes the pack that a dry run times small, of a cell with a large model too."""


def test_a_dry_run_of_every_space_trains_and_writes_nothing(command, tmp_path):
    for name in search_spaces.names():
        code, out, err = command("--space", name, "--dry-run", *QUICKLY_TIMED)
        assert (code, err) == (0, "")
        for label in labels(search_spaces.load(name).cells()):
            assert label in out
        assert "members expected, about" in out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_of_the_place_that_the_address_names(command, monkeypatch):
    monkeypatch.setattr("sweeps.preview.usable_cpus", lambda: 4)
    with socket.create_server(("127.0.0.1", 0)) as cluster:
        address = f"127.0.0.1:{cluster.getsockname()[1]}"
        last = {
            where: command("--dry-run", *QUICKLY_TIMED, *(("--address", where) if where else ()))[1]
            for where in ("", "serial", address)
        }
    assert last[""].endswith("on the 4 slots of this machine\n")
    assert last["serial"].endswith("on the 1 slot of this machine\n")
    assert last[address].endswith("of one slot\n"), "nothing is known of a cluster"


def test_a_dry_run_refuses_what_the_run_directory_rules_out_and_changes_nothing(command, tmp_path):
    space = search_spaces.load("digits", ["steps=50"])
    with opened(tmp_path / "run", space):
        pass
    before = snapshot(tmp_path)
    code, _, err = command("--dry-run", "--out", "run")
    assert code == 2
    assert "steps: 50 there, 2400 now" in err
    with held(tmp_path / "run", space):
        assert "run is in use" in command("--dry-run", "--out", "run", "--set", "steps=50")[2]
    assert command("--dry-run", "--out", "run", "--set", "steps=50")[0] == 0
    assert snapshot(tmp_path) == before


def test_a_dry_run_counts_what_is_trained(command, tmp_path, make_space, train):  # noqa: F811
    space = search_spaces.load("digits", ["latents=[[4, 4]]", "steps=20", "search=grid", "eval_every=10"])
    (swept,) = space.swept()
    data = DataSets([swept.cell], None)
    (cell,) = plan_cells([swept], data.of, "cpu")
    with opened(tmp_path / "run", space) as ledger:
        train(ledger, [Point(rho, seed) for rho in swept.values[:2] for seed in space.seeds], cell=cell)
    options = ["latents=[[4, 4]]", "steps=20", "search=grid", "eval_every=10"]
    code, out, err = command("--dry-run", "--out", "run", *sets(options))
    assert (code, err) == (0, "")
    assert "15 members expected, 6 of them trained, about" in out


def test_no_width_of_a_terminal_cuts_a_dry_run(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, out, _ = command("--dry-run", "--space", "paper/table6", *QUICKLY_TIMED)
    assert all(name in out for name in ("cell", "members", "packs at first", "member-steps", "slot time"))
    assert "…" not in out


def test_the_spaces_are_listed(command):
    code, out, err = command("--list-spaces")
    assert (code, err) == (0, "")
    listed = [line for line in out.splitlines() if not line.startswith(" ")]
    assert listed[: len(search_spaces.names())] == search_spaces.names()
    assert all(search_spaces.load(name) for name in listed)
    assert "paper/table6" in listed
    assert "Is the critical rho of the KL alike, within 0.05, for models of three" in out


SMALL = ["latents=[[3, 3]]", "hidden=[8]", "rho=[0.6, 1.0]", "seeds=1", "steps=20", "eval_every=10"]


@pytest.mark.process
def test_a_script_gets_one_object_and_nothing_else(command, tmp_path):
    options = [*SERIAL, "--out", "run", *sets([*SMALL, "search=grid", "track=sweep"])]
    done = subprocess.run(
        [sys.executable, str(ROOT / "sweeps/phase_transition.py"), "--json", *options],
        cwd=tmp_path,
        env=clean_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert (printed["exit_code"], printed["run"]) == (0, "run")
    assert [row["order_parameter"] for row in printed["thresholds"]] == ["kl_top", "information_top"]
    assert printed["comparisons"] == []
    with drawing_nothing():
        assert command("--quiet", *options) == (0, "", "")


def test_a_quiet_sweep_says_why_it_is_not_complete(command, monkeypatch):
    def swept(space, options, console):
        console.print("space digits")
        console.print("FAILED pack 1: no memory")
        return 1

    monkeypatch.setattr("sweeps.driver.sweep", swept)
    assert command("--quiet") == (1, "", "FAILED pack 1: no memory\n")
    code, out, _ = command("--json")
    assert (code, json.loads(out)["thresholds"]) == (1, None)
