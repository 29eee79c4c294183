"""Reading a space's YAML: refusals in one short error, and values."""

import os
import re
import time
from pathlib import Path

import pytest
import yaml

from search_spaces import SpaceError, load, names, read_yaml_mapping

GOOD = "dataset: digits\nlatents: [[4, 4]]\nrho: [0.5, 1.0]\n"
DEEP = "[" * 1200 + "]" * 1200
"""More levels than Python's recursion has."""
LAUGHS = "[&a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], " + ", ".join(
    f"&{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
MERGED = "[&a {x: 1}, " + ", ".join(
    f"&{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
OTHERS = ("table9", "table10", "choices")
"""Spaces of the paper without training, or with the activation in variants."""

SHORT = 400
"""Maximum length of an error with one problem and no list of keys."""

UNREADABLE = {
    "brackets": (f"rho: {DEEP}", "more than 20 levels"),
    "brackets that stay open": (f"rho: {DEEP[:1200]}", "more than 20 levels"),
    "levels": (f"rho: {DEEP[:25]}{DEEP[-25:]}", "more than 20 levels"),
    "indents": ("- " * 1200, "more than 20 levels"),
    "an alias within itself": ("seeds: &a [*a]", "more than 20 levels"),
    "aliases of aliases": (f"seeds: {LAUGHS}]", "more than 50000 values"),
    "merges of merges": (f"variants: {MERGED}]", "more than 50000 values"),
    "many values": (f"seeds: [{'1,' * 50_001}]", "more than 50000 values"),
    "an integer of 5,000 digits": (f"steps: {'1' * 5000}", "give an integer of at most 100 characters"),
    "a hexadecimal of 5,000 digits": (f"steps: 0x{'f' * 5000}", "give an integer of at most 100 characters"),
    "a number with underscores": ("seeds: 1_0", "found '1_0'; give an integer .*, without _"),
    "a prefix without digits": ("steps: 0x_", "found '0x_'; give an integer"),
    "a long fraction": (f"rho: 0.{'5' * 500}", "found '0.55.*; give a number of at most 100 characters"),
    "text as an integer": ("steps: !!int ten", "found 'ten'; give an integer"),
    "text as a truth value": ("steps: !!bool ten", "found 'ten'; give true or false"),
    "a call of Python": ("steps: !!python/object/apply:os.getpid []", r"found the tag !!python/object/apply"),
    "a name of Python": ("steps: !!python/name:os.system", r"found the tag !!python/name:os\.system"),
    "a tag of one's own": ("steps: !mine 3", "found the tag !mine; .*leave it out"),
    "a timestamp by its tag": ("steps: !!timestamp 2024-13-45", "found the tag !!timestamp"),
    "a set": ("seeds: !!set {1, 2}", "found the tag !!set"),
    "bytes": ("name: !!binary aGVsbG8=", "found the tag !!binary"),
    "a NUL": ("name: a\0b", "unacceptable character #x0000"),
    "a list as a key": ("? [1, 2]\n: 3\n", "a key is text, found a list or a mapping"),
    "a mapping as a key": ("? {a: 1}\n: 3\n", "a key is text, found a list or a mapping"),
    "a merge of a number": ("<<: 3\n", "expected a mapping or list of mappings for merging"),
    "a key twice": ("steps: 1\nsteps: 2\n", "key 'steps' is given twice; keep one"),
    "a key twice, once in quotes": ("steps: 1\n'steps': 2\n", "key 'steps' is given twice; keep one"),
    "a key twice below": ("rho: {low: 0.5, low: 0.6}\n", "key 'low' is given twice; keep one"),
    "an alias of nothing": ("steps: *a\n", "undefined alias 'a'"),
    "two documents": ("a: 1\n---\nb: 2\n", "expected a single document"),
    "an open bracket": ("rho: [0.5\n", "expected ',' or ']'"),
    "a tab": ("rho:\n\t- 1\n", "cannot start any token"),
}
NO_MAPPING = {
    "nothing": ("", "found None"),
    "comments": ("# a space\n", "found None"),
    "a list": ("- digits\n", r"found \['digits'\]"),
    "a word": ("digits\n", "found 'digits'"),
    "a long text": ("x" * 5000, "found 'xxx"),
}
IN_VALUES = [case for case, (text, _) in UNREADABLE.items() if re.match(r"\w+: ", text) and "\n" not in text]
"""The cases that are the value of a key."""


@pytest.fixture
def write(tmp_path: Path):
    """Return a writer of a space file."""

    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "made.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def refusal(source: object, *overrides: str) -> str:
    with pytest.raises(SpaceError) as caught:
        load(str(source), overrides)
    return str(caught.value)


def problem(message: str) -> str:
    """The one problem of a refusal."""
    headline, reported = message.splitlines()
    assert headline.endswith(": 1 problem in the space")
    return reported.strip()


class TestFiles:
    @pytest.mark.parametrize("case", UNREADABLE | NO_MAPPING)
    def test_a_file_without_a_space_gives_one_short_line(self, write, case):
        text, expected = (UNREADABLE | NO_MAPPING)[case]
        path = write(text)
        started = time.process_time()
        message = refusal(path)
        assert re.fullmatch(rf"{re.escape(str(path))}: .*{expected}.*", message), message
        assert len(message) < len(str(path)) + SHORT
        assert time.process_time() - started < 10
        assert ("write a line KEY: VALUE for each key" in message) == (case in NO_MAPPING)
        with pytest.raises(SpaceError) as of_a_run:
            read_yaml_mapping(path)
        assert str(of_a_run.value) == message

    def test_the_place_of_the_mistake_is_reported(self, write):
        assert refusal(write(GOOD + "steps: 1\nsteps: 2\n")).endswith("(line 5, column 1)")

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00dataset", b"name: caf\xe9\n", GOOD.encode("utf-16")])
    def test_other_encodings(self, write, content):
        assert re.search(
            r"not a readable YAML file: .*can't decode.*save it as UTF-8$", refusal(write(content))
        )

    def test_a_file_of_more_than_a_megabyte(self, write):
        path = write(GOOD + "#" * 1_000_000)
        assert "more than 1000000 bytes" in refusal(path)

    def test_folders_pipes_and_devices_are_refused(self, tmp_path):
        """Opening a pipe would wait for a writer, and a device may have no end."""
        os.mkfifo(tmp_path / "pipe.yaml")
        (tmp_path / "folder.yaml").mkdir()
        for path in (tmp_path / "pipe.yaml", tmp_path / "folder.yaml", Path("/dev/zero")):
            message = refusal(path)
            assert message.startswith(f"no space file {path}: it is a folder, a pipe or a device;")
            assert all(name in message for name in names())
            with pytest.raises(SpaceError, match=f"{path}: .*a folder, a pipe or a device"):
                read_yaml_mapping(path)
        with pytest.raises(SpaceError, match=r"nowhere\.yaml: .*No such file"):
            read_yaml_mapping(tmp_path / "nowhere.yaml")

    @pytest.mark.parametrize("source", ["a" * 5000, f"folder/{'a' * 5000}", "a\0b.yaml"])
    def test_an_impossible_file_name_is_refused(self, source):
        message = refusal(source)
        assert all(name in message for name in names())
        assert len(message) < SHORT

    def test_a_file_is_read_as_it_is(self, write):
        held = read_yaml_mapping(write(GOOD + "seeds: [1, 2]\nname: null\n"))
        expected = {
            "dataset": "digits",
            "latents": [[4, 4]],
            "rho": [0.5, 1.0],
            "seeds": [1, 2],
            "name": None,
        }
        assert held == expected

    @pytest.mark.parametrize("budget", ["quick", "paper"])
    @pytest.mark.parametrize("name", [name for name in names("paper") if name not in OTHERS])
    def test_one_line_sets_the_activation_of_a_budget(self, name, budget):
        path = Path(__file__).parents[2] / "search_spaces/paper" / f"{name}.yaml"
        assert "activation" in read_yaml_mapping(path)["budgets"][budget]
        cells = load(f"paper/{name}", ["activation=elu"], budget).cells()
        assert "elu" in {cell.activation for cell in cells}

    @pytest.mark.parametrize("name", [*names(), *(f"paper/{name}" for name in names("paper"))])
    def test_spaces_that_ship_read_as_yaml_reads_them(self, name):
        path = Path(__file__).parents[2] / "search_spaces" / f"{name}.yaml"
        assert read_yaml_mapping(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


class TestOverrides:
    @pytest.mark.parametrize("case", IN_VALUES)
    def test_a_value_is_read_as_in_a_file(self, case):
        text, expected = UNREADABLE[case]
        key, _, value = text.partition(": ")
        reported = problem(refusal("digits", f"{key}={value}"))
        assert re.fullmatch(rf"--set {key}=.*: the value is not readable YAML: .*{expected}.*", reported), (
            reported
        )
        assert len(reported) < SHORT

    def test_a_key_given_twice(self):
        reported = problem(refusal("digits", "rho={low: 0.5, low: 0.6, high: 1, points: 3}"))
        assert "key 'low' is given twice; keep one" in reported

    @pytest.mark.parametrize("override", ["steps=[\n", "\udcff=3", "a\nb=2", "a\x1b[31mb=2", "x" * 5000])
    def test_every_problem_is_a_line_that_can_be_printed(self, override):
        assert problem(refusal("digits", override)).isprintable()


DATES = ["2024-01-13", "2024-13-45", "2024-01-13 10:00:00"]


class TestValues:
    @pytest.mark.parametrize("date", DATES)
    @pytest.mark.parametrize(
        ("key", "value", "where"),
        [
            ("steps", "{}", "steps"),
            ("seeds", "[{}]", "seeds.0"),
            ("latents", "[[4, {}]]", "latents.0.1"),
            ("rho", "{{low: {}, high: 1.0, points: 3}}", "rho.low"),
            ("variants", "[{{steps: {}}}]", "variants.0.steps"),
        ],
    )
    def test_a_date_is_text(self, write, key, value, where, date):
        path = write(GOOD + "search: grid\n")
        expected = f"{where}: found {date!r}; give a "
        assert problem(refusal(path, f"{key}={value.format(date)}")).startswith(expected)
        text = re.sub(rf"^{key}: .*\n", "", path.read_text(), flags=re.MULTILINE)
        assert problem(refusal(write(text + f"{key}: {value.format(date)}\n"))).startswith(expected)

    @pytest.mark.parametrize(
        ("override", "expected"),
        [("steps=1:30", "found '1:30'"), ("checkpoint_minutes=5:30.5", "found '5:30.5'")],
    )
    def test_minutes_and_seconds_are_text(self, override, expected):
        """YAML reads 5:30 as 330."""
        assert expected in problem(refusal("digits", override))

    def test_a_number_with_leading_zeros_is_the_number(self):
        """YAML reads 010 as 8."""
        assert load("digits", ["steps=010"]).steps == 10

    def test_a_date_is_a_name(self, write):
        assert load(str(write(GOOD + "name: 2024-01-13\n"))).name == "2024-01-13"
        assert load(str(write(GOOD)), ["name=2024-13-45"]).name == "2024-13-45"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("yes", "found True; no key takes true or false"),
            ("", "found None; "),
            ("[a]", r"found \['a'\]; "),
        ],
    )
    @pytest.mark.parametrize("budgets", ["", "budgets: {quick: {steps: 5}}\n"])
    def test_a_name_that_is_no_text_is_refused(self, write, name, expected, budgets):
        path = write(GOOD + budgets + f"name: {name}\n")
        assert re.match(rf"name: {expected}", problem(refusal(path)))

    def test_a_number_is_a_name(self, write):
        assert load(str(write(GOOD + "name: 5\n"))).name == "5"
        assert load(str(write(GOOD)), ["name=5"]).name == "5"
        assert load(str(write(GOOD + "name: 5\nbudgets: {1: {steps: 7}}\n")), budget="1").name == "5-1"

    @pytest.mark.parametrize(
        ("key", "reported"),
        [
            ("1", "1"),
            ("yes", "yes"),
            ("2024-13-45", "2024-13-45"),
            (r'"a\nb"', r"a\nb"),
            (r'"\ud800"', r"\ud800"),
        ],
    )
    def test_a_key_is_text_as_written(self, write, key, reported):
        for above in ("", "rho: ", "variants: ", "budgets: "):
            inner = {
                "": f"{key}: 2",
                "variants: ": f"[{{{key}: 2}}]",
                "budgets: ": f"{{quick: {{{key}: 2}}}}",
            }
            text = GOOD if above != "rho: " else GOOD.replace("rho: [0.5, 1.0]\n", "")
            value = inner.get(above, f"{{low: 0, high: 1, points: 3, {key}: 2}}")
            where = {"rho: ": "rho.", "variants: ": "variants.0."}.get(above, "")
            assert problem(refusal(write(f"{text}{above}{value}\n"))).startswith(
                f"{where}{reported}: unknown key"
            )

    @pytest.mark.parametrize(
        ("key", "where"),
        [
            ("steps: {}", "steps"),
            ("kl_warmup: {}", "kl_warmup"),
            ("eval_images: {}", "eval_images"),
            ("latents: [[4, {}]]", r"latents\.0\.1"),
            ("rho: {{low: 0, high: 1, points: {}}}", r"rho\.points"),
            ("costs: {{rounds: {}}}", r"costs\.rounds"),
            ("refine_points: {}", "refine_points"),
        ],
    )
    @pytest.mark.parametrize("digits", [11, 90])
    def test_a_number_too_large_for_tables_is_refused(self, write, key, where, digits):
        override = key.format("1" * digits).replace(": ", "=", 1)
        reported = problem(refusal(write(GOOD), override))
        assert re.match(rf"{where}: found 1+…?; give less than 2147483648", reported), reported

    def test_a_bad_value_is_refused_even_if_every_variant_replaces_it(self, write):
        path = write(GOOD + "steps: 0\nvariants: [{steps: 5}, {steps: 6}]\n")
        assert problem(refusal(path)) == "steps: found 0; give 1 or more"

    def test_anchors_and_merges(self, write):
        text = "variants: [&a {<<: {kl_warmup: 1, steps: 2}, steps: 3}, {<<: *a, kl_warmup: 4}, "
        text += "{<<: [*a], steps: 5}]"
        cells = load(str(write(GOOD + text))).cells()
        assert [(cell.kl_warmup, cell.steps) for cell in cells] == [(1, 3), (4, 3), (1, 5)]


class TestQuestion:
    @pytest.mark.parametrize("override", ["steps=500", "seeds=5", "rho=[0.5, 1]", "learning_rate=0.01"])
    def test_it_stays_with_other_training(self, override):
        assert load("digits", [override]).question == load("digits").question is not None

    @pytest.mark.parametrize(
        "override", ["latents=[[4, 4]]", "activation=tanh", "dataset=mnist", "variants=[]"]
    )
    def test_it_goes_with_other_models_or_data(self, override):
        assert load("digits", [override]).question is None
        assert load("digits", [override, "question=Mine?"]).question == "Mine?"

    def test_keys_of_a_call_are_overrides(self):
        assert load("digits", keys={"latents": [(4, 4)]}).question is None
        assert (
            load({"dataset": "digits", "latents": [[4, 4]], "rho": [0.5, 1], "question": "Mine?"}).question
            == "Mine?"
        )
