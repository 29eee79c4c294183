"""Where states live: the same laws for a folder, a file system of pyarrow's, S3, and what Ray carries."""

import pickle
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyarrow.fs import FileSelector

from ouvae.data import load as load_data
from search_spaces import load
from sweeps import SweepError
from sweeps.worker import states as states_module
from sweeps.worker.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from sweeps.worker.objects import Objects, require_usable
from sweeps.worker.states import Carried, Folder, States
from sweeps.worker.task import News, Task
from sweeps.worker.work import PackWork

STATE = {"pack": {"step": 3, "weights": torch.arange(5000.0)}, "seconds": 1.5}
SECRET = "swordfish"  # noqa: S105


@pytest.fixture(params=["folder", "file", "carried", pytest.param("s3", marks=pytest.mark.process)])
def states(request, tmp_path) -> States:
    """Return each place in which states live, empty."""
    if request.param == "folder":
        return Folder(str(tmp_path))
    if request.param == "file":
        return Objects(f"file://{tmp_path}", "0123")
    if request.param == "s3":
        return Objects(request.getfixturevalue("bucket"), uuid.uuid4().hex)
    return Carried()


@pytest.fixture
def objects(bucket) -> Objects:
    return Objects(bucket, uuid.uuid4().hex)


def put(states: States, pack_id: str, content: bytes) -> None:
    with states.replaced(pack_id) as file:
        file.write(content)


class TestEveryPlace:
    def test_keeps_what_is_written_last_until_it_is_removed(self, states):
        states.remove("a")
        assert read_checkpoint(states, "a") is None
        write_checkpoint(states, "a", STATE)
        write_checkpoint(states, "a", STATE | {"seconds": 2.5})
        again = states if isinstance(states, Carried) else pickle.loads(pickle.dumps(states))  # noqa: S301
        state = read_checkpoint(again, "a")
        assert torch.equal(state["pack"]["weights"], STATE["pack"]["weights"])
        assert (state["pack"]["step"], state["seconds"]) == (3, 2.5)
        assert states.packs() == ([] if isinstance(states, Carried) else ["a"])
        states.remove("a")
        assert states.read("a") is None
        assert states.packs() == []

    def test_keeps_the_whole_state_where_the_next_one_breaks_off(self, states):
        put(states, "a", b"whole")
        with pytest.raises(ZeroDivisionError), states.replaced("a") as file:
            file.write(b"half")
            raise ZeroDivisionError
        assert states.read("a") == b"whole"
        states.remove("a")
        assert states.packs() == []

    @pytest.mark.parametrize("damage", ["cut", "changed", "foreign"])
    def test_sets_aside_what_is_not_the_packs_own(self, states, damage):
        write_checkpoint(states, "b", STATE)
        content = bytearray(states.read("b"))
        content[100] ^= damage == "changed"
        put(states, "a", bytes(content[: len(content) // 2] if damage == "cut" else content))
        with pytest.raises(CheckpointError, match=r"a\.pt (is cut or was changed|belongs to another pack)"):
            read_checkpoint(states, "a")
        assert states.set_aside("a") == ("" if states.is_carried else "a.pt.bad")
        assert states.read("a") is None
        assert "a" not in states.packs()

    def test_lets_a_pack_go_on_with_the_same_numbers(self, states, tmp_path):
        """On another worker, as often as it saves; the sweep's folder is between them where Ray carries."""
        task, data = tiny_task(states)
        (expected,) = PackWork(replace(task, checkpoint_seconds=0.0), data).advance(60.0).outcomes
        sweep, steps = Folder(str(tmp_path / "sweep")), []
        Path(sweep.path).mkdir()
        for _ in range(task.cell.steps):
            here = Carried() if states.is_carried else states
            here.receive(sweep.to_carry("p"))
            work = PackWork(task, data, here)
            steps.append(work.steps_done)
            work._training.train_step()
            work.save()
            news = work.take_news()
            assert bool(news.state) == bool(news.unseen) == states.is_carried
            if news.state:
                put(sweep, "p", news.state)
        assert steps == [0, 1, 2, 3]
        assert work.advance(60.0).outcomes == (expected,)


def tiny_task(states: States):
    """Return a pack of four steps that saves its state, and its data."""
    data = load_data("digits")
    cell = load("digits", ["latents=[[2, 2]]", "hidden=[4]", "steps=4", "eval_images=8"]).cells()[0]
    return Task("p", cell, "rho", [(0.5, 0)], data.digest, "cpu", 1, 2**20, states, 60.0), data


def test_a_worker_that_does_not_see_the_folder_has_its_state_carried(tmp_path):
    folder = Folder(str(tmp_path / "unseen"))
    assert isinstance(folder.at_worker(), Carried)
    assert Folder(str(tmp_path)).at_worker() == Folder(str(tmp_path))
    assert folder.to_carry("a") == b""
    task, data = tiny_task(folder)
    work = PackWork(task, data, folder.at_worker())
    work._states.receive(b"of another program")
    work._training = work._restored() or work._training
    work.save()
    news = work.take_news()
    assert news.notices == ["checkpoint not used, its pack starts afresh: p.pt is cut or was changed"]
    assert (bool(news.unseen), bool(news.state), news.trouble) == (True, True, "")
    assert work.take_news() == News()


def test_a_place_that_fails_in_the_middle_costs_states_only(tmp_path):
    """The numbers stay, the state that is there too, and the next one is written when the place is back."""
    objects = Objects(f"file://{tmp_path}/objects", "0123")
    task, data = tiny_task(objects)
    expected = PackWork(replace(task, checkpoint_seconds=0.0), data).advance(60.0)
    PackWork(task, data).save()
    (tmp_path / "objects").rename(tmp_path / "away")
    (tmp_path / "objects").write_text("no folder")
    work = PackWork(task, data)
    for what in ("not used, its pack starts afresh: cannot be read", "not written: p.pt cannot be written"):
        assert work.take_news().trouble.startswith(f"checkpoint {what}")
        work.save()
    (tmp_path / "objects").unlink()
    (tmp_path / "away").rename(tmp_path / "objects")
    assert objects.packs() == ["p"]
    work.save()
    assert work.take_news().trouble.startswith("checkpoint not written")
    assert work.advance(60.0).outcomes == expected.outcomes


def test_a_state_that_is_too_large_to_carry_is_trouble_and_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(states_module, "MOST_CARRIED_BYTES", 100)
    put(Folder(str(tmp_path)), "p", bytes(101))
    assert Folder(str(tmp_path)).to_carry("p") == b""
    task, data = tiny_task(Folder("/unseen"))
    work = PackWork(task, data, Carried())
    work.save()
    news = work.take_news()
    assert news.state == b""
    assert "MB to the sweep; give --checkpoints URI" in news.trouble


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("bucket/folder", "not usable"),
        ("ftp://host/folder", "not usable"),
        ("fsspec+s3://bucket", "not usable"),
        (f"s3://key:{SECRET}@bucket/folder", "it has an @"),
        (f"s3://key:{SECRET}/a%40bucket/folder", "it has an @"),
        (f"s3://key:sword?{SECRET}@bucket/folder", "it has an @"),
        (f"s3://bucket?endpoint_override=http://user:{SECRET}@host", "it has an @"),
        (f"s3://bucket?secret_key={SECRET}", "unknown keys secret_key"),
        ("s3://bucket?allow_bucket_creation=true", "unknown keys allow_bucket_creation"),
        ("file://elsewhere/folder", "a state cannot be written"),
        ("file:///proc/none", "a state cannot be written"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_secrets(uri, problem):
    with pytest.raises(SweepError) as refused:
        require_usable(uri)
    assert str(refused.value).startswith("--checkpoints '")
    assert problem in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.process
class TestBucket:
    def test_is_as_it_was_after_the_probe(self, objects):
        put(objects, "a", b"state")
        require_usable(objects.uri)
        assert objects.packs() == ["a"]
        system, folder = objects._opened()
        found = system.get_file_info(FileSelector(str(Path(folder).parent)))
        assert [info.base_name for info in found if "probe" in info.base_name] == []

    def test_that_is_missing_or_does_not_answer_is_refused(self, bucket):
        with pytest.raises(SweepError, match=r"'s3://none/states': a state cannot be written: .*BUCKET"):
            require_usable(bucket.replace("ouvae-test", "none"))
        with pytest.raises(SweepError, match=r"cannot be written: .*connect.*--checkpoints run"):
            require_usable("s3://any?scheme=http&endpoint_override=127.0.0.1:9&region=us-east-1")

    def test_loses_nothing_of_others_when_a_sweep_is_cleared(self, objects):
        other = replace(objects, sweep_id=uuid.uuid4().hex)
        for states in (objects, other):
            put(states, "a", b"state")
        objects.set_aside("a")
        put(objects, "b", b"state")
        system, folder = objects._opened()
        with system.open_output_stream(f"{folder}/notes.txt") as file:
            file.write(b"mine")
        objects.clear()
        assert [name for name, _ in objects._objects()] == ["notes.txt"]
        assert other.packs() == ["a"]
