"""Canaries: a test for each private or unstable part of PyTorch that is used.

A test that fails here with a new version of PyTorch names what the version changed.
"""

import numpy as np
import pytest
import torch
from torch import nn

from ouvae import torch_internals

SEED = 2024

UNIFORM = ["0x1.9c7a48p-2", "0x1.523fap-5", "0x1.caf082p-1", "0x1.be59b8p-2"]
UNIFORM_DOUBLE = ["0x1.c7a48a02a47f4p-3", "0x1.5e1062dbe59b8p-3", "0x1.ea714e1e8b7eap-2"]
NORMAL = [0.1053396612, 0.6031618118, -0.9205872416, 0.1224854589]
NORMAL_OF_20 = {0: -1.0153926611, 7: -0.6326494813, 8: 1.7537676096, 15: -0.1313794106, 19: 1.1123993397}
NORMAL_OF_20_DOUBLE = {
    0: 0.3277373559,
    7: -0.7900676057,
    8: -1.4562876587,
    15: -0.8118095221,
    19: -0.801877936,
}
PERMUTATION = [6, 11, 9, 2, 0, 10, 8, 1, 3, 5, 4, 7]
LINEAR = [
    "-0x1.cbac8ap-4",
    "-0x1.0f313ep-1",
    "0x1.d4ab2cp-2",
    "-0x1.2f38e2p-4",
    "0x1.b52e8ep-3",
    "0x1.0cb856p-1",
]
"""Numbers of the seed, drawn with torch 2.13 on a CPU. If one differs, noise or initial weights have changed,
and every member's numbers with them: raise `NUMERICS_VERSION`, or keep the older PyTorch."""

ROUNDING = 2e-6
"""Normal draws round differently on CPUs with other vector instructions."""


def generator() -> torch.Generator:
    return torch_internals.seeded_generator(SEED)


class TestNoise:
    def test_raw_numbers_are_those_of_numpys_mersenne_twister(self):
        drawn = torch.empty(1000, dtype=torch.int32).random_(generator=generator())
        assert drawn.tolist() == (np.random.MT19937(SEED).random_raw(1001)[1:] % 2**31).tolist()

    def test_uniform_numbers_are_the_recorded_ones(self):
        drawn = torch.empty(4).uniform_(generator=generator())
        assert drawn.tolist() == list(map(float.fromhex, UNIFORM))
        double = torch.empty(3, dtype=torch.float64).uniform_(generator=generator())
        assert double.tolist() == list(map(float.fromhex, UNIFORM_DOUBLE))

    def test_normal_numbers_are_the_recorded_ones(self):
        """PyTorch draws fewer than 16 one by one, and more in blocks."""
        assert torch.empty(4).normal_(generator=generator()).tolist() == pytest.approx(NORMAL, abs=ROUNDING)
        for dtype, recorded in ((torch.float32, NORMAL_OF_20), (torch.float64, NORMAL_OF_20_DOUBLE)):
            drawn = torch.empty(20, dtype=dtype).normal_(generator=generator())
            assert {index: float(drawn[index]) for index in recorded} == pytest.approx(recorded, abs=ROUNDING)

    def test_permutations_are_the_recorded_ones(self):
        assert torch.randperm(12, generator=generator()).tolist() == PERMUTATION

    def test_initial_weights_are_the_recorded_ones(self):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(generator().get_state())
            weights = nn.Linear(3, 2).weight
        assert weights.flatten().tolist() == list(map(float.fromhex, LINEAR))

    @pytest.mark.parametrize("start", [2, 4, 1000])
    def test_another_layout_of_the_state_is_refused(self, monkeypatch, start):
        monkeypatch.setattr(torch_internals, "_TWISTER", slice(start, start + 624))
        torch_internals._check_state_layout.cache_clear()
        with pytest.raises(torch_internals.TorchChangedError, match="install a version"):
            generator()
        monkeypatch.undo()
        generator()


class TestTracing:
    def test_a_function_is_traced_into_operations_that_know_their_layout(self):
        example = torch.ones(2, 3)
        program = torch_internals.trace(lambda x: x.mT.exp(), example)
        assert torch.equal(program(2 * example), (2 * example).mT.exp())
        (view, exponential) = (node for node in program.graph.nodes if node.op == "call_function")
        assert str(exponential.target) == "aten.exp.default"
        assert torch_internals.layout(view) == (torch.Size([3, 2]), (1, 3), torch.float32)

    @pytest.mark.parametrize(
        "name",
        [
            "detach.default",
            *("view.default", "expand.default", "permute.default", "transpose.int"),
            *(f"{name}{form}.Tensor" for name in ("add", "sub", "mul", "div") for form in ("", "_")),
            *(f"{name}{form}.default" for name in ("neg", "exp", "sigmoid") for form in ("", "_")),
            *("bmm.default", "mm.default", "softplus.default", "softplus_backward.default"),
            *(
                f"{name}_backward.{form}"
                for name in ("threshold", "tanh", "elu", "leaky_relu", "gelu")
                for form in ("default", "grad_input")
            ),
        ],
    )
    def test_an_operation_of_programs_exists(self, name):
        assert torch_internals.operation(name) is not None

    def test_operations_that_are_gone_are_left_out(self):
        assert torch_internals.operation("gone.default") is None
        assert torch_internals.operation("exp.gone") is None
        exp, exp_ = map(torch_internals.operation, ("exp.default", "exp_.default"))
        assert torch_internals.operations("exp.default", "gone.default") == {exp}
        pairs = {"exp.default": "exp_.default", "neg.default": "gone.default"}
        assert torch_internals.replacements(pairs) == {exp: exp_}


class TestGradients:
    """Each against autograd through PyTorch's own layer."""

    @pytest.mark.parametrize(
        ("layer", "backward"),
        [
            (nn.ReLU(), lambda g, y: torch_internals.threshold_backward(g, y, 0)),
            (nn.Tanh(), torch_internals.tanh_backward),
            (nn.ELU(), lambda g, y: torch_internals.elu_backward(g, 1, 1, 1, True, y)),
            (nn.LeakyReLU(0.01), lambda g, y: torch_internals.leaky_relu_backward(g, y, 0.01, True)),
        ],
        ids=["relu", "tanh", "elu", "leaky_relu"],
    )
    def test_the_gradient_of_an_activation_follows_from_its_result(self, layer, backward):
        x = torch.linspace(-3, 3, 12, dtype=torch.float64, requires_grad=True)
        gradient = torch.linspace(1, 2, 12, dtype=torch.float64)
        result = layer(x)
        (expected,) = torch.autograd.grad(result, x, gradient)
        torch.testing.assert_close(backward(gradient, result.detach()), expected, rtol=1e-14, atol=1e-14)

    def test_softplus_can_write_over_its_argument(self):
        x = torch.linspace(-3, 3, 12)
        expected = nn.functional.softplus(x)
        assert torch_internals.softplus(x, out=x) is x
        assert torch.equal(x, expected)


def test_fused_adam_takes_what_is_passed_to_it():
    """`tests/ouvae/training/step/test_adam.py` compares it with the class to the bit."""
    value, mean, square, steps = torch.ones(2), torch.zeros(2), torch.zeros(2), torch.zeros(())
    options = {"amsgrad": False, "maximize": False, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    torch_internals.fused_adam(
        *([value], [torch.tensor([1.0, -1.0])], [mean], [square], [], [steps]),
        fused=True,
        decoupled_weight_decay=True,
        lr=0.1,
        weight_decay=0.0,
        **options,
    )
    torch.testing.assert_close(value, torch.tensor([0.9, 1.1]))
    assert float(steps) == 1


def test_autocasting_tells_its_type():
    assert torch_internals.autocast_dtype("cpu") is None
    with torch.autocast("cpu", torch.bfloat16):
        assert torch_internals.autocast_dtype("cpu") == torch.bfloat16
        assert torch_internals.autocast_dtype("meta") is None


def test_a_tensor_and_its_views_have_one_storage_also_on_the_meta_device():
    weight = nn.Parameter(torch.empty(2, 3, device="meta"))
    storage = torch_internals.storage_of(weight)
    assert torch_internals.storage_of(weight.view(-1)) is storage
    assert torch_internals.storage_of(weight.detach().mT) is storage
    assert torch_internals.storage_of(weight + 1) is not storage
    assert storage.nbytes() == 24
