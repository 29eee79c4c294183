"""Names of cells: their contents, and that different cells have different names."""

import itertools

import pytest

from ouvae.declared import Cell, keys_of, labels

BASE = {"dataset": "digits", "latents": (8, 8)}


def named(*changes: dict) -> list[str]:
    return labels([Cell(**BASE | change) for change in changes])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, "digits mlp 8,8"),
        ({"latents": (4,), "smoothed_networks": ("likelihood",)}, "digits mlp 4 smoothed-likelihood"),
        ({"smoothed_networks": ()}, "digits mlp 8,8 unsmoothed"),
        ({"smoothing": "shrink"}, "digits mlp 8,8 shrunk-generative"),
        (
            {"smoothing": "shrink", "smoothed_networks": ("generative", "likelihood")},
            "digits mlp 8,8 shrunk-generative+likelihood",
        ),
        ({"system": "lvae", "smoothed_networks": ()}, "digits mlp 8,8 lvae"),
        ({"objective": "iwae", "importance_samples": 5}, "digits mlp 8,8 iwae-5"),
        ({"objective": "free_bits", "free_bits_nats": 0.5}, "digits mlp 8,8 free-bits-0.5"),
        ({"kl_warmup": 100}, "digits mlp 8,8 +kl"),
        ({"kl_weight": 4.0}, "digits mlp 8,8 beta-4"),
        ({"top_kl_weight": 0.5}, "digits mlp 8,8 top-kl-0.5"),
        ({"kl_warmup": 100, "top_kl_weight": 0}, "digits mlp 8,8 +kl top-kl-0"),
    ],
)
def test_a_name_has_the_method_if_it_is_not_plain(change, name):
    assert named(change) == [name]


def test_cells_with_one_base_name_add_the_keys_in_which_they_differ():
    assert named({"steps": 1000}, {"steps": 9000}, {"latents": (4, 4)}) == [
        "digits mlp 8,8 1000 steps",
        "digits mlp 8,8 9000 steps",
        "digits mlp 4,4",
    ]
    assert named({"learning_rate": 0.001}, {"learning_rate": 0.01, "ou_samples": 2}) == [
        "digits mlp 8,8 K = 5, learning_rate 0.001",
        "digits mlp 8,8 K = 2, learning_rate 0.01",
    ]
    assert named({"hidden": (4,)}, {"hidden": ()}) == [
        "digits mlp 8,8 hidden 4",
        "digits mlp 8,8 hidden none",
    ]


def test_the_forms_of_smoothing_have_different_names():
    assert named(*({"smoothing": form} for form in ("posterior", "shrink", "ambient"))) == [
        "digits mlp 8,8 posterior smoothing",
        "digits mlp 8,8 shrunk-generative",
        "digits mlp 8,8 ambient smoothing",
    ]
    none, shrunk = named(*({"smoothing": form, "smoothed_networks": ()} for form in ("posterior", "shrink")))
    assert none != shrunk


def test_close_numbers_have_different_names():
    first, second = named({"learning_rate": 0.0012345678}, {"learning_rate": 0.0012345679})
    assert first != second


def test_a_difference_in_any_key_gives_different_names():
    """Also for rows of a table, in which tuples are lists."""
    others = {
        "dataset": "mnist", "data_variance": (1.0,), "system": "lvae", "objective": "iwae",
        "importance_samples": 3, "free_bits_nats": 1.0, "architecture": "conv", "hidden": (9,),
        "pseudo_inputs": 3, "hermite_degree": 3, "likelihood": "gaussian", "observation_variance": 1.0,
        "mixture_components": 3, "smoothing": "ambient", "smoothed_networks": ("likelihood",),
        "ou_samples": 9, "steps": 9, "batch_size": 9, "learning_rate": 9.0, "kl_warmup": 9,
        "kl_weight": 9.0, "top_kl_weight": 9.0, "eval_every": 9, "eval_images": 9, "gradient_samples": 9,
        "gradient_rho": 0.9, "select": "best", "bound_samples": 9, "bound_images": 9, "precision": "float64",
        "latents": (9, 9),
    }  # fmt: skip
    rows = [Cell(**BASE).model_dump(mode="json")]
    rows += [Cell(**BASE | {key: value}).model_dump(mode="json") for key, value in others.items()]
    assert set(others) <= set(keys_of(Cell))
    for pair in itertools.combinations(rows, 2):
        assert len(set(labels(pair))) == 2
