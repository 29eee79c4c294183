"""Spaces: refusals and their messages, cells, and values of rho."""

import re
import time
from pathlib import Path

import pytest

from ouvae.declared import labels
from search_spaces import Space, SpaceError, load, names

GOOD = {"dataset": "digits", "latents": "[[4, 4], [8, 8, 8]]", "rho": "[0.9, 0.5, 0.7]"}


@pytest.fixture
def write(tmp_path: Path):
    """Return a writer of space files: the keys of a good space, changed, or a whole text."""

    def write_space(text: str | None = None, **keys: str | None) -> str:
        values = {key: value for key, value in (GOOD | keys).items() if value is not None}
        path = tmp_path / "made.yaml"
        path.write_text(text or "".join(f"{key}: {value}\n" for key, value in values.items()))
        return str(path)

    return write_space


def names_of(space: Space) -> list[str]:
    return labels(space.cells())


def refusal(source: str, *overrides: str) -> str:
    with pytest.raises(SpaceError) as caught:
        load(source, overrides)
    return str(caught.value)


def refusal_or_nothing(source: str) -> str:
    try:
        load(source)
    except SpaceError as error:
        return str(error)
    return ""


def problems(message: str) -> list[str]:
    """Return the problems after the headline, and check the headline's count."""
    headline, *reported = message.splitlines()
    count = int(re.search(r"(\d+) problems? in the space", headline).group(1))
    assert count == len(reported), message
    return [problem.strip() for problem in reported]


class TestRefusals:
    def test_every_problem_is_reported_at_once(self, write):
        path = write(
            stepz="3",
            steps="0",
            search="gird",
            learning_rate=".nan",
            latents="[[4, 0], []]",
            rho="[0.5, 1.2]",
            seeds="[1, 1]",
            likelihood="gaussian",
        )
        reported = problems(refusal(path, "batch_size=0", "ou_samples"))
        expected = {
            "stepz: unknown key, did you mean steps?",
            "steps: found 0; give 1 or more",
            "batch_size: found 0; give 1 or more",
            "search: found 'gird'; give 'locate', 'refine', 'grid' or 'none'",
            "learning_rate: found nan; give a finite number",
            "latents.0.1: found 0; give 1 or more",
            "latents.1: found []; give 1 or more entries",
            "rho.1: found 1.2; give 1 or less",
            "seeds: found [1, 1]; entries must be distinct",
            "--set ou_samples: write it as KEY=VALUE, for example --set steps=5000",
            "observation_variance: missing with likelihood gaussian, which needs it; give the fixed variance "
            "of a Gaussian likelihood, in squared data units",
        }
        assert set(reported) == expected
        assert len(reported) == len(expected)

    def test_all_changes_for_a_system_without_smoothing_are_reported_at_once(self, write):
        reported = problems(refusal(write(), "system=lvae"))
        assert [problem.partition(":")[0] for problem in reported] == ["smoothed_networks", "rho"]
        load(write(), ["system=lvae", "smoothed_networks=[]", "rho=[1.0]"])
        (problem,) = problems(refusal(write(), "system=lvae", "rho=[1.0]"))
        assert problem.endswith("use smoothed_networks: []")

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ({"latents": "{size: [8], depth: [1000000]}"}, r"depth\.0: give 100 or less"),
            ({"latents": f"[{[8] * 101}]"}, r"latents\.0: .*give 100 or fewer entries"),
            (
                {"latents": f"{{size: {list(range(1, 102))}, depth: {list(range(2, 12))}}}"},
                r"1,010 cells; a space has at most 1,000",
            ),
            ({"max_members": "1000000000"}, r"up to .* members; a space has at most 1,000,000"),
            ({"rho": "{low: 0.1, high: 1.0, points: 2000000}"}, r"points must lie at least 1e-06 apart"),
            (
                {"rho": "{low: 0.1, high: 1.0, points: 500000}", "search": "grid"},
                r"up to .* members; a space has at most 1,000,000",
            ),
        ],
        ids=["depth", "layers", "grid", "max_members", "points", "members"],
    )
    def test_a_space_too_large_for_a_sweep_is_refused_at_once(self, write, keys, expected):
        start = time.monotonic()
        assert any(re.search(expected, problem) for problem in problems(refusal(write(**keys))))
        assert time.monotonic() - start < 10

    def test_a_key_with_a_bad_value_causes_no_second_problem(self, write):
        """A misspelt likelihood is one problem, not a contradiction with its variance as well."""
        path = write(likelihood="gausian", observation_variance="0.1")
        assert [problem.split(":")[0] for problem in problems(refusal(path))] == ["likelihood"]

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ({"rho": "[0.5, 1.5]"}, r"rho\.1: found 1.5; give 1 or less"),
            ({"rho": "[-0.1, 0.5]"}, r"rho\.0: found -0.1; give 0 or more"),
            ({"rho": "[0.5, .nan]"}, r"rho\.1: found nan; give a finite number"),
            ({"rho": "[0.5, .inf]"}, r"rho\.1: found inf;"),
            *(
                (
                    {"rho": "[0.5]", "search": search},
                    rf"rho: \[0.5\] with search {search}, which starts from two values or more",
                )
                for search in ("locate", "refine")
            ),
            ({"rho": "[0.5, 0.5]"}, r"rho: found .*distinct"),
            ({"rho": "[0.5, 0.5000001]"}, r"rho: found .*distinct"),
            ({"rho": "0.5"}, r"rho: found 0.5, and no key has several values"),
            (
                {"kl_weight": "[1, 2]"},
                r"rho and kl_weight: several values each, .*; give one number to all but one",
            ),
            ({"rho": "1", "kl_weight": "[0, 2]"}, r"kl_weight: 0 has no place on a log scale"),
            ({"rho": "1", "free_bits_nats": "[1, 2]"}, r"free_bits_nats: .* with objective elbo"),
            ({"rho": "null"}, r"rho: found None;"),
            ({"rho": "[true, 0.5]"}, r"rho: found .*true or false"),
            ({"rho": "{low: 0.5, high: 1.0, points: 1}"}, r"rho\.points: found 1; give 2 or more"),
            ({"rho": "{low: 0.5, high: 1.01, points: 3}"}, r"rho\.high: found 1.01;"),
            ({"rho": "{low: 0.9, high: 0.5, points: 3}"}, r"rho: found .*low \(0.9\) .*below high \(0.5\)"),
            ({"rho": "{low: 0.5, high: 0.500001, points: 5}"}, r"rho: points must lie at least 1e-06 apart"),
            ({"rho": "{low: 0.5, high: 1.0, pionts: 3}"}, r"rho\.pionts: unknown key, did you mean points\?"),
            ({"rho": "{low: 0.5, high: 1.0}"}, r"rho\.points: missing, and it has no default"),
            ({"latents": "[[0, 4]]"}, r"latents\.0\.0: found 0;"),
            ({"latents": "[[4, -1]]"}, r"latents\.0\.1: found -1;"),
            ({"latents": "[[4.5, 4]]"}, r"latents\.0\.0: found 4.5; give a whole number"),
            ({"latents": "[]"}, r"latents: found \[\]; give 1 or more entries"),
            (
                {"latents": "[4, 4]"},
                r"latents: found \[4, 4\]; give a list for each cell, such as \[\[4, 4\]\]",
            ),
            ({"latents": "[4, [4]]"}, r"latents\.0: found 4; give a list of lists of whole numbers"),
            ({"latents": "[[4, 4], [4, 4]]"}, r"latents: found .*distinct"),
            (
                {"latents": "{size: [4]}"},
                r"latents: found \{'size': \[4\]\}; a grid is .*; depth: give a value",
            ),
            ({"latents": "{size: [0], depth: [2]}"}, r"latents: .* size\.0: give 1 or more"),
            ({"latents": "{size: [4, 4], depth: [2]}"}, r"latents: .* size: .*distinct"),
            ({"latents": "[[4]]"}, r"smoothed_networks: \[generative\] with latents \[\[4\]\]"),
            ({"seeds": "0"}, r"seeds: found 0; .*1 to 10000"),
            ({"seeds": "3000000000"}, r"seeds: found 3000000000; .*1 to 10000"),
            ({"seeds": "[1, 1]"}, r"seeds: found .*distinct"),
            ({"seeds": "[-1]"}, r"seeds\.0: found -1;"),
            ({"seeds": "yes"}, r"seeds: found True; .*true or false"),
            ({"steps": "yes"}, r"steps: found True; .*true or false"),
            ({"steps": "ten"}, r"steps: found 'ten'; give a whole number"),
            ({"learning_rate": "0"}, r"learning_rate: found 0; give more than 0"),
            ({"active_from": "{kl_top: .inf}"}, r"active_from\.kl_top: found inf; give a finite number"),
            ({"active_from": "{kl_top: half}"}, r"active_from\.kl_top: found 'half'; .*half_plateau"),
            ({"active_from": "{kl: 1}"}, r"active_from.kl.*: found 'kl'; not an order parameter; .*kl_top"),
            ({"active_from": "{kl_top: yes}"}, r"active_from: found .*; .*true or false"),
            ({"active_from": "{}"}, r"active_from: found {}; give 1 or more entries"),
            ({"follow": "information_top", "active_from": "{kl_top: 1}"}, r"follow: information_top without"),
            ({"confidence": "1"}, r"confidence: found 1; give less than 1"),
            ({"smoothed_networks": "[generative, generative]"}, r"smoothed_networks: found .*distinct"),
            ({"smoothed_networks": "[generativ]"}, r"smoothed_networks\.0: found 'generativ';"),
            ({"dataset": "mnits"}, r"dataset: found 'mnits'; unknown dataset, did you mean mnist\?"),
            ({"dataset": None}, r"dataset: missing"),
            (
                {"data_variance": "[1.0]"},
                r"data_variance: \[1.0\] with dataset digits, .*use dataset gaussian",
            ),
            ({"dataset": "gaussian"}, r"data_variance: missing with dataset gaussian"),
            ({"architecture": "affine"}, r"hidden: \[64, 64\] with architecture affine.*use hidden: \[\]"),
            ({"observation_variance": "1.0"}, r"observation_variance: 1.0 with likelihood bernoulli"),
            (
                {"mixture_components": "5"},
                r"mixture_components: 5 with likelihood bernoulli, .*logistic_mixture",
            ),
            ({"likelihood": "logistic_mixture"}, r"mixture_components: missing with likelihood logistic_mix"),
            ({"dataset": "cifar10"}, r"likelihood: bernoulli with dataset cifar10, .*logistic_mixture"),
            ({"dataset": "gaussian", "architecture": "conv"}, r"architecture: conv with dataset gaussian"),
            ({"architecture": "conv", "hidden": "[]"}, r"hidden: \[\] with architecture conv"),
            ({"tolerance": "0"}, r"tolerance: found 0; give more than 0"),
            (
                {"max_members": "8"},
                r"max_members: 8 with 3 seeds on 3 values of rho, which are 9 members; set max_members to at",
            ),
            (
                {"seeds": "[2147483500]"},
                r"seeds: 2147483500 with max_members 240; the probes' seeds .* below 2147483648, so",
            ),
            ({"until": "decided"}, r"until: decided, and no two cells differ in exactly one key"),
            (
                {"until": "decided", "search": "grid", "latents": "[[4, 4], [8, 8]]"},
                r"until: decided with search grid, which decides nothing; use search: locate",
            ),
            ({"hidden": "8"}, r"hidden: found 8; give a list, such as \[8\]"),
            ({"probes": "0"}, "probes: found 0; give a whole number from 1, or auto$"),
            ({"probes": "some"}, "probes: found 'some'; give a whole number from 1, or auto$"),
            ({"probes": "1.5"}, "probes: found 1.5; give a whole number from 1, or auto$"),
            (
                {"rho": "0.4,0.5"},
                r"rho: found '0.4,0.5'; give a number, a list, or {low: L, high: H, points: N}",
            ),
            ({"steps": "1e3"}, r"steps: found '1e3'; give a whole number"),
            ({"save_weights": "no"}, r"save_weights: found False; no key takes .*; give none, last, best"),
            ({"costs": "3"}, r"costs: found 3; give {rounds: N, steps: N}"),
            ({"costs": "{rounds: 1, stpes: 3}"}, r"costs\.stpes: unknown key, did you mean steps\?"),
            ({"active_from": "0.1"}, r"active_from: found 0.1; give a mapping, such as {kl_top: 0.1}"),
            ({"name": "../up"}, r"name: found '../up'; give letters, digits"),
            ({"name": ".."}, r"name: found '..';"),
            ({"free_bits_nats": "1.0"}, "free_bits_nats: 1.0 with objective elbo"),
            ({"select": "best"}, "bound_samples: missing, with select: best, which needs it"),
            ({"bound_images": "10"}, "bound_samples: missing"),
            ({"smoothed_networks": "[]"}, r"rho: \[0\.\d.* with smoothed_networks \[\], where it has no"),
            ({"hidden": "[]"}, r"hidden: \[\] with architecture mlp, which needs a hidden layer"),
        ],
    )
    def test_one_problem(self, write, keys, expected):
        """Each message has the key, the value and what to give."""
        message = refusal(write(**keys))
        assert any(re.fullmatch(expected + r".*", problem) for problem in problems(message)), message

    @pytest.mark.parametrize("key", sorted(Space.model_fields))
    def test_no_message_is_pydantics(self, write, key):
        for value in ("{nested: [deep, 1.5]}", "[[-1e300]]", "''", "null"):
            message = refusal_or_nothing(write(**{key: value}))
            assert not re.search(r"(?i)\b(input|valid|validation|tuple|dictionary|string)\b", message)

    def test_a_margin_without_comparisons_is_no_problem(self, write):
        """The default space with a single cell, `--set latents=[[4, 4]]`, has one."""
        assert load(write(margin="0.05")).margin == 0.05

    @pytest.mark.parametrize(
        ("key", "nearest"),
        [
            ("stesp", "steps"),
            ("latent", "latents"),
            ("learning_rte", "learning_rate"),
            ("active_fro", "active_from"),
            ("ou_sample", "ou_samples"),
            ("seed", "seeds"),
        ],
    )
    def test_an_unknown_key_suggests_the_nearest(self, write, key, nearest):
        assert problems(refusal(write(**{key: "3"}))) == [f"{key}: unknown key, did you mean {nearest}?"]

    def test_an_unknown_key_like_no_other_lists_the_keys(self, write):
        (problem,) = problems(refusal(write(zzz="3")))
        assert problem.startswith("zzz: unknown key; allowed are ")
        assert {"dataset", "latents", "rho", "steps"} <= set(re.findall(r"\w+", problem))

    @pytest.mark.parametrize(
        ("override", "expected"),
        [
            ("steps", "--set steps: write it as KEY=VALUE"),
            ("=5", "--set =5: write it as KEY=VALUE"),
            ("steps=[", r"--set steps=\[: the value is not readable YAML"),
            ("steps=", "steps: found None; give a whole number"),
            ("step=5", r"step: unknown key, did you mean steps\?"),
            ("rho=[0.5, 2]", "rho.1: found 2;"),
        ],
    )
    def test_a_bad_override(self, override, expected):
        (problem,) = problems(refusal("digits", override))
        assert re.match(expected, problem), problem

    def test_the_headline_has_the_overrides(self):
        assert "digits.yaml --set steps=0: 1 problem in the space" in refusal("digits", "steps=0")

    def test_an_unknown_space_suggests_the_nearest(self):
        message = refusal("digitz")
        assert message.startswith("unknown space 'digitz', did you mean digits?; give one of: ")
        assert all(name in message for name in names())

    def test_a_missing_file(self, tmp_path: Path):
        path = str(tmp_path / "nowhere.yaml")
        message = refusal(path)
        assert message.startswith(f"no space file {path};")
        assert all(name in message for name in names())


class TestSpaces:
    def test_a_grid_of_latents_is_every_size_with_every_depth(self, write):
        space = load(write(**GOOD | {"latents": "{size: [8, 4], depth: [2, 3]}"}))
        assert [cell.latents for cell in space.cells()] == [(8, 8), (4, 4), (8, 8, 8), (4, 4, 4)]
        assert load(write(**GOOD | {"latents": "[[8, 8], [4, 4], [8, 8, 8], [4, 4, 4]]"})) == space

    def test_the_cells_are_the_entries_of_latents(self, write):
        space = load(write(steps="70", ou_samples="2", smoothed_networks="[likelihood, generative]"))
        assert [cell.latents for cell in space.cells()] == [(4, 4), (8, 8, 8)]
        assert [cell.depth for cell in space.cells()] == [2, 3]
        assert names_of(space) == [
            "digits mlp 4,4 smoothed-generative+likelihood",
            "digits mlp 8,8,8 smoothed-generative+likelihood",
        ]
        for cell in space.cells():
            assert (cell.steps, cell.ou_samples) == (70, 2)
            assert cell.smoothed_networks == ("generative", "likelihood")

    @pytest.mark.parametrize(
        ("rho", "values"),
        [
            ("[0.9, 0.5, 0.7]", (0.5, 0.7, 0.9)),
            ("[1, 0]", (0.0, 1.0)),
            ("[0.3333333333, 0.5]", (0.333333, 0.5)),
            ("{low: 0.5, high: 1.0, points: 6}", (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
            ("{low: 0, high: 1, points: 4}", (0.0, 0.333333, 0.666667, 1.0)),
            ("{low: 0.1, high: 0.3, points: 2}", (0.1, 0.3)),
        ],
    )
    def test_the_values_of_rho(self, write, rho, values):
        assert load(write(rho=rho)).values() == values

    @pytest.mark.parametrize(
        ("seeds", "expected"), [("3", (0, 1, 2)), ("1", (0,)), ("[7, 3]", (7, 3)), (None, (0, 1, 2))]
    )
    def test_seeds_are_a_list_or_a_number(self, write, seeds, expected):
        assert load(write(seeds=seeds)).seeds == expected

    def test_a_space_is_named_after_its_file(self, write):
        assert load(write()).name == "made"
        assert load(write(name="other")).name == "other"

    def test_overrides_win_and_the_last_wins_over_them(self, write):
        path = write(steps="70")
        overrides = ("steps=80", "latents=[[5, 5]]", "rho={low: 0.2, high: 0.4, points: 3}", "steps=90")
        space = load(path, overrides)
        assert space.steps == 90
        assert [cell.latents for cell in space.cells()] == [(5, 5)]
        assert space.values() == (0.2, 0.3, 0.4)
        assert load(path).steps == 70

    def test_yaml_without_a_dot_is_a_number_too(self, write):
        """YAML reads 1e-3 as text."""
        assert load(write(learning_rate="1e-3")).learning_rate == 0.001

    def test_merge_keys_of_yaml_work(self, write):
        path = write("<<: {dataset: digits, steps: 5}\nlatents: [[4, 4]]\nrho: [0.5, 1.0]\nsteps: 6\n")
        assert load(path).steps == 6

    def test_a_space_survives_its_own_dump(self, write):
        space = load(write(rho="{low: 0.5, high: 1.0, points: 6}", pack_size="4"))
        assert type(space).model_validate(space.model_dump(mode="json")) == space


class TestShippedSpaces:
    def test_the_default_ships(self):
        assert "digits" in names()

    @pytest.mark.parametrize("name", names())
    def test_it_loads_and_has_a_question_and_a_header(self, name):
        space = load(name)
        assert space.name.partition("-")[0] == name  # the name of a budget follows
        assert space.cells()
        text = (Path(__file__).parents[2] / "search_spaces" / f"{name}.yaml").read_text(encoding="utf-8")
        header = text[: re.search(r"^[^#\n]", text, re.MULTILINE).start()]
        assert space.question.endswith((".", "?")), f"{name} has no question"
        for entry in ("Command", "Time"):
            assert re.search(rf"^# {entry}: +\S", header, re.MULTILINE), f"{name} has no {entry}"
        command = re.search(r"^# Command: +(.*)", header, re.MULTILINE).group(1)
        assert command.startswith("python sweeps/phase_transition.py")
        assert name == "digits" or f"--space {name}" in command


class TestVariants:
    def test_each_repeats_the_cells_of_latents_with_its_keys(self, write):
        variants = "[{rho: [0.8, 1.0]}, {objective: iwae, importance_samples: 5, rho: [1.0], steps: 7}]"
        space = load(write(search="grid", latents="[[4, 4], [6, 6]]", variants=variants))
        cells = space.cells()
        assert [(cell.objective, cell.latents) for cell in cells] == [
            ("elbo", (4, 4)),
            ("elbo", (6, 6)),
            ("iwae", (4, 4)),
            ("iwae", (6, 6)),
        ]
        assert [swept.values for swept in space.swept()] == [(0.8, 1.0)] * 2 + [(1.0,)] * 2
        assert {cell.steps for cell in cells if cell.objective == "iwae"} == {7}
        assert len(set(names_of(space))) == 4

    def test_a_cell_of_a_variant_is_the_cell_of_a_space_with_its_keys(self, write):
        variant = load(write(search="grid", variants="[{kl_warmup: 9}]")).cells()
        assert variant == load(write(search="grid", kl_warmup="9")).cells()

    @pytest.mark.parametrize(
        ("variants", "expected"),
        [
            ("7", "variants: found 7; give a list of mappings"),
            ("[{stepps: 7}]", r"variants\.0\.stepps: unknown key, did you mean steps\?"),
            ("[{}, {seeds: 7}]", r"variants\.1\.seeds: the same for all variants"),
            ("[{steps: 7}, {steps: 0}]", r"variants\.1\.steps: found 0"),
            ("[{importance_samples: 5}]", r"variants\.0\.importance_samples: 5 with objective elbo"),
            ("[{kl_warmup: 1}, {hidden: [0]}]", r"variants\.1\.hidden\.0: found 0"),
            ("[{rho: [0.5, 1.0]}, {rho: [0.7]}]", "variants: .* is there twice; join the values of rho"),
        ],
    )
    def test_a_problem_of_one_names_it(self, write, variants, expected):
        message = refusal(write(search="grid", variants=variants))
        assert any(re.match(expected, problem) for problem in problems(message)), message

    @pytest.mark.parametrize(
        ("shared", "variants", "expected"),
        [
            ({"steps": "0"}, "[{}, {}, {steps: 3}]", ["steps: found 0; give 1 or more"]),
            ({"stepz": "3"}, "[{}, {}]", ["stepz: unknown key, did you mean steps?"]),
            ({"latents": None}, "[{}, {}]", ["latents: missing, and it has no default"]),
            (
                {"latents": None},
                "[{latents: [[4, 4]]}, {}]",
                ["variants.1.latents: missing, and it has no default"],
            ),
            (
                {"steps": "0"},
                "[{}, {hidden: [0]}]",
                ["steps: found 0; give 1 or more", "variants.1.hidden.0: found 0; give 1 or more"],
            ),
        ],
        ids=["a value", "an unknown key", "a missing key", "a key that one lacks", "a value and a variant's"],
    )
    def test_a_problem_above_the_variants_is_reported_once(self, write, shared, variants, expected):
        assert problems(refusal(write(search="grid", variants=variants, **shared))) == expected

    def test_a_contradiction_above_the_variants_is_reported_once(self, write):
        space = write(search="grid", bound_images="5", variants="[{steps: 7}, {kl_warmup: 3}]")
        (problem,) = problems(refusal(space))
        assert problem.startswith("bound_samples: missing, with bound_images: 5")

    def test_a_contradiction_with_a_variant_names_it(self, write):
        space = write(search="grid", importance_samples="5", variants="[{objective: iwae}, {}]")
        (problem,) = problems(refusal(space))
        assert problem.startswith("variants.1.importance_samples: 5 with objective elbo")


class TestBudgets:
    BUDGETS = "{quick: {steps: 7}, paper: {steps: 70, hidden: [5]}}"

    def test_one_is_chosen_and_named(self, write):
        path = write(budgets=self.BUDGETS, name="mine")
        quick, paper = load(path), load(path, budget="paper")
        assert (quick.name, quick.steps, quick.hidden) == ("mine-quick", 7, (64, 64))
        assert (paper.name, paper.steps, paper.hidden) == ("mine-paper", 70, (5,))
        assert load(path, ["steps=8"]).steps == 8

    def test_an_unknown_one_is_refused_with_a_list(self, write):
        with pytest.raises(SpaceError, match="--budget qick: the space has the budgets: quick, paper"):
            load(write(budgets=self.BUDGETS), budget="qick")
        with pytest.raises(SpaceError, match="--budget quick: the space has the budgets: none"):
            load(write(), budget="quick")
        with pytest.raises(SpaceError, match="budgets: found"):
            load(write(budgets="[1]"))

    def test_an_unknown_one_is_the_only_problem(self, write):
        """Its keys are not missing."""
        path = write(budgets="{quick: {latents: [[4, 4]]}}", latents=None)
        with pytest.raises(SpaceError, match="1 problem in the space\n  --budget qick"):
            load(path, budget="qick")


HERMITE = {
    "system": "hermite",
    "latents": "[[4], [8]]",
    "smoothed_networks": "[likelihood]",
    "hermite_degree": "6",
}
VAMPPRIOR = {
    "system": "vampprior",
    "latents": "[[4, 4]]",
    "smoothed_networks": "[]",
    "pseudo_inputs": "5",
    "rho": "[1.0]",
    "search": "grid",
}


class TestSystems:
    def test_each_loads_with_what_it_needs(self, write):
        assert names_of(load(write(**HERMITE))) == ["digits mlp 4 hermite", "digits mlp 8 hermite"]
        assert load(write(**VAMPPRIOR)).pseudo_inputs == 5

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            (
                HERMITE | {"hermite_degree": None},
                "hermite_degree: missing with system hermite, which needs it",
            ),
            ({"hermite_degree": "6"}, "hermite_degree: 6 with system vae, .* use system hermite"),
            (
                HERMITE | {"latents": "[[4], [4, 3]]"},
                r"latents: \[\[4, 3\]\] with system hermite, which has 1 latent",
            ),
            (
                HERMITE | {"smoothed_networks": "[generative, likelihood]"},
                r"smoothed_networks: \[generative, likelihood\] .*; use .*: \[likelihood\]",
            ),
            (HERMITE | {"smoothing": "ambient"}, "smoothing: ambient .*; use smoothing: posterior"),
            (HERMITE | {"smoothing": "shrink"}, "smoothing: shrink .*; use smoothing: posterior"),
            (
                HERMITE | {"architecture": "affine", "hidden": "[]"},
                "architecture: affine .*; use architecture mlp",
            ),
            (
                VAMPPRIOR | {"pseudo_inputs": None},
                "pseudo_inputs: missing with system vampprior, which needs it",
            ),
            ({"pseudo_inputs": "5"}, "pseudo_inputs: 5 with system vae, .* use system vampprior"),
            (
                VAMPPRIOR | {"latents": "[[4], [4, 4, 4]]"},
                r"latents: \[\[4\], \[4, 4, 4\]\] with system vampprior, which has 2 latent",
            ),
            (
                VAMPPRIOR | {"smoothed_networks": "[generative]"},
                r"smoothed_networks: .*, which has no smoothing; use smoothed_networks: \[\]",
            ),
            (
                VAMPPRIOR | {"architecture": "affine", "hidden": "[]"},
                "architecture: affine with system vampprior, .*; use architecture mlp or conv",
            ),
        ],
    )
    def test_one_contradiction(self, write, keys, expected):
        (problem,) = problems(refusal(write(**keys)))
        assert re.match(expected, problem), problem

    @pytest.mark.parametrize("system", ["lvae", "biva"])
    def test_ladders_have_any_depth_and_no_smoothing(self, write, system):
        keys = {"system": system, "smoothed_networks": "[]", "rho": "[1.0]", "search": "grid"}
        cells = load(write(latents="[[4], [4, 4], [8, 4, 4, 2]]", **keys)).cells()
        assert [cell.depth for cell in cells] == [1, 2, 4]
        (problem,) = problems(refusal(write(**keys | {"smoothed_networks": "[generative]"})))
        assert problem.endswith(f"with system {system}, which has no smoothing; use smoothed_networks: []")
        (problem,) = problems(refusal(write(**keys, architecture="affine", hidden="[]")))
        assert problem.startswith(f"architecture: affine with system {system}, which does not support it")
