"""Layers against torch.nn: names, values, gradients, statistics; and run axes against single networks."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
import torch

from lossopt import nn
from lossopt.gradcheck import gradcheck
from lossopt.tensor import apply, tensor


def generator(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=7):
    return generator(seed).normal(size=shape)


# layer, arguments, shapes of x it takes
LAYERS = [
    ("Linear", (4, 3), [(5, 4), (4,), (2, 5, 4), (0, 4)]),
    ("Linear", (4, 3, False), [(5, 4)]),
    ("Conv2d", (2, 3, 3), [(2, 2, 5, 6), (2, 5, 6), (1, 2, 3, 3)]),
    ("Conv2d", (1, 2, (2, 3), (2, 1), (1, 2)), [(2, 1, 5, 6)]),
    ("Conv2d", (2, 3, 3, 2, 1, {"bias": False}), [(2, 2, 5, 6), (2, 2, 6, 5)]),
    ("Conv2d", (2, 3, 1, 3), [(2, 2, 5, 8)]),
    ("BatchNorm1d", (4,), [(6, 4), (6, 4, 3)]),
    ("BatchNorm1d", (4, 1e-2, 0.3), [(6, 4)]),
    ("BatchNorm2d", (3,), [(4, 3, 2, 5), (1, 3, 2, 1)]),
    ("MaxPool2d", (2,), [(2, 3, 6, 6), (2, 3, 5, 7), (3, 4, 4)]),
    ("MaxPool2d", ((3, 2), (1, 2), (1, 1)), [(2, 3, 6, 6)]),
    ("MaxPool2d", (3, 2, 1), [(2, 3, 6, 6)]),
    ("Dropout", (0.0,), [(3, 4)]),
    ("Dropout", (1.0,), [(3, 4)]),
    ("ReLU", (), [(3, 4)]),
    ("Tanh", (), [(3, 4)]),
    ("Sigmoid", (), [(3, 4)]),
    ("GELU", (), [(3, 4)]),
    ("GELU", ("none",), [(3, 4)]),
    ("Flatten", (), [(2, 3, 4, 5), (3, 4)]),
    ("Flatten", (-3,), [(2, 3, 4, 5), (2, 2, 3, 4, 5)]),
    ("Flatten", (0, 1), [(2, 3, 4)]),
]
CASES = [
    pytest.param(name, args, shape, id=f"{name}{args}-{shape}") for name, args, shapes in LAYERS for shape in shapes
]


def made(module, name, args):
    """The layer of one library; a dictionary at the end of `args` holds keywords."""
    keywords = args[-1] if args and isinstance(args[-1], dict) else {}
    return getattr(module, name)(*args[: len(args) - bool(keywords)], **keywords)


def pair(name, args, dtype=np.float64):
    """The same layer twice, here and in torch, with the same weights."""
    layer, twin = (made(module, name, args) for module in (nn, torch.nn))
    layer, twin = layer.to(dtype), twin.to(getattr(torch, np.dtype(dtype).name))
    for parameter in layer.parameters():  # away from ones and zeros, which would hide a forgotten factor
        parameter.data += normal(*parameter.shape, seed=parameter.ndim)
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in layer.state_dict().items()})
    return layer, twin


def compare(layer, twin, x, tolerance=1e-12):
    a, b = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = layer(a), twin(b)
    assert y.shape == tuple(z.shape)
    assert str(y.dtype) == str(z.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=tolerance, atol=tolerance)
    seed = generator(1).normal(size=y.shape).astype(y.dtype)
    y.backward(seed)
    z.backward(torch.tensor(seed))
    np.testing.assert_allclose(a.grad.data, b.grad.numpy(), rtol=tolerance, atol=tolerance)
    for (name, p), (other, q) in zip(layer.named_parameters(), twin.named_parameters(), strict=True):
        assert name == other
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=tolerance, atol=10 * tolerance, err_msg=name)


def test_every_layer_is_compared_with_torch():
    layers = {
        name for name in nn.__all__ if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), nn.Module)
    }
    assert layers - {"Module", "Sequential"} == {name for name, _, _ in LAYERS}


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 5e-5)])
@pytest.mark.parametrize(("name", "args", "shape"), CASES)
def test_value_and_gradients_are_those_of_torch(name, args, shape, dtype, tolerance):
    compare(*pair(name, args, dtype), normal(*shape).astype(dtype), tolerance)


@pytest.mark.parametrize(("name", "args", "shape"), CASES)
def test_the_tape_agrees_with_the_complex_step_in_every_layer(name, args, shape):
    layer, _ = pair(name, args)
    if isinstance(layer, nn.Dropout) or "BatchNorm" in name:
        layer.eval()
    assert gradcheck(layer, normal(*shape)).complex_step < 1e-13


@pytest.mark.parametrize(("name", "args", "shape"), CASES)
def test_names_shapes_dtypes_and_attributes_are_those_of_torch(name, args, shape):
    layer, twin = (made(module, name, args) for module in (nn, torch.nn))
    ours, theirs = layer.state_dict(), twin.state_dict()
    assert list(ours) == list(theirs)
    for key in ours:
        assert ours[key].shape == tuple(theirs[key].shape)
        assert str(ours[key].dtype) == str(theirs[key].dtype).removeprefix("torch.")
    positional = [p for p in inspect.signature(type(layer)).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for parameter, other in zip(positional, inspect.signature(type(twin)).parameters.values(), strict=False):
        assert (parameter.name, parameter.default) == (other.name, other.default)


# ---------------------------------------------------------------- single layers


def test_ties_in_a_pooling_window_go_to_the_first_as_in_torch():
    compare(nn.MaxPool2d(2), torch.nn.MaxPool2d(2), np.ones((1, 1, 4, 4)))
    x = tensor(np.ones((1, 2, 2)), requires_grad=True)
    nn.MaxPool2d(2)(x).sum().backward()
    assert x.grad.tolist() == [[[1.0, 0.0], [0.0, 0.0]]]


def test_the_tanh_form_of_gelu_is_the_one_of_torch():
    compare(nn.GELU(approximate="tanh"), torch.nn.GELU(approximate="tanh"), normal(3, 4))


@pytest.mark.parametrize(
    ("name", "shape"), [("BatchNorm1d", (6, 4)), ("BatchNorm1d", (6, 4, 3)), ("BatchNorm2d", (3, 4, 2, 5))]
)
def test_batch_norm_keeps_the_statistics_of_torch_and_uses_them_in_eval(name, shape):
    layer, twin = pair(name, (4,))
    for seed in range(3):
        compare(layer, twin, 3 + 2 * normal(*shape, seed=seed))
        layer.zero_grad()
        twin.zero_grad()
    for key, value in twin.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[key], value.numpy(), rtol=1e-13, err_msg=key)
    before = layer.state_dict()
    compare(layer.eval(), twin.eval(), normal(*shape))
    for key, value in before.items():
        assert np.array_equal(layer.state_dict()[key], value), key


def test_batch_norm_tracks_mean_and_unbiased_variance_by_hand():
    layer = nn.BatchNorm1d(1, dtype=np.float64)
    layer(tensor([[1.0], [3.0]]))
    assert layer.running_mean.item() == pytest.approx(0.1 * 2)
    assert layer.running_var.item() == pytest.approx(0.9 + 0.1 * 2)  # the unbiased variance of 1 and 3 is 2
    assert layer.num_batches_tracked.item() == 1


def test_dropout_zeroes_with_probability_p_and_keeps_the_mean():
    layer = nn.Dropout(0.2, rng=generator())
    y = layer(tensor(np.ones((200, 500), np.float32)))
    assert y.dtype == np.float32
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1.25)}
    assert (y.data == 0).mean() == pytest.approx(0.2, abs=0.005)
    again = nn.Dropout(0.2, rng=generator())(tensor(np.ones((200, 500), np.float32)))
    assert np.array_equal(y.data, again.data)
    assert not np.array_equal(layer(tensor(np.ones((200, 500), np.float32))).data, y.data)


def test_dropout_passes_the_gradient_where_it_passed_the_value_and_rests_in_eval():
    layer = nn.Dropout(0.5, rng=generator())
    x = tensor(np.ones(100), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert np.array_equal(x.grad.data, y.data)
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    ("initialiser", "variance"),
    [
        (nn.he_normal, lambda fan_in, fan_out: 2 / fan_in),
        (nn.he_uniform, lambda fan_in, fan_out: 2 / fan_in),
        (nn.xavier_normal, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (nn.xavier_uniform, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    ],
)
@pytest.mark.parametrize(("shape", "fans"), [((300, 200), (200, 300)), ((40, 30, 5, 4), (600, 800))])
def test_initialisers_have_the_variance_of_their_paper(initialiser, variance, shape, fans):
    weight = initialiser(shape, generator())
    assert weight.shape == shape
    assert weight.mean() == pytest.approx(0, abs=3e-3)
    assert weight.var() == pytest.approx(variance(*fans), rel=0.03)
    if "uniform" in initialiser.__name__:
        assert abs(weight).max() <= np.sqrt(3 * variance(*fans))
        assert abs(weight).max() > 0.999 * np.sqrt(3 * variance(*fans))
    else:
        assert (abs(weight) > 3 * weight.std()).mean() == pytest.approx(0.0027, abs=0.001)


@pytest.mark.parametrize(
    ("layer", "fan"), [(nn.Linear(100, 200, rng=generator()), 100), (nn.Conv2d(4, 200, 5, rng=generator()), 100)]
)
def test_layers_start_as_those_of_torch_do(layer, fan):
    for parameter in layer.parameters():
        assert abs(parameter.data).max() <= 1 / np.sqrt(fan)
        assert abs(parameter.data).max() > 0.98 / np.sqrt(fan)
        assert parameter.data.mean() == pytest.approx(0, abs=0.01)


def test_the_same_generator_gives_the_same_layer():
    first, second, other = (nn.Linear(3, 2, rng=generator(seed)).weight.tolist() for seed in (0, 0, 1))
    assert first == second != other


# ---------------------------------------------------------------- modules


class Residual(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(3, 3, rng=generator())
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.steps = nn.Buffer(np.array(0))
        self.constant = tensor([1.0])
        self.shared = self.inner

    def forward(self, x):
        return x + self.scale * self.inner(x)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=generator(1)),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 3, rng=generator(2)),
    )


def test_a_module_of_ones_own_finds_its_parameters_buffers_and_modules():
    net = Residual()
    assert [name for name, _ in net.named_parameters()] == ["scale", "inner.weight", "inner.bias"]
    assert len(list(net.parameters())) == 3
    assert list(net.state_dict())[:4] == ["scale", "steps", "inner.weight", "inner.bias"]
    assert len(list(net.modules())) == 3
    net.scale.requires_grad_(False)
    assert len(list(net.parameters())) == 3


def test_train_and_eval_reach_every_module():
    net = nn.Sequential(nn.Sequential(nn.Dropout()), nn.Linear(2, 2))
    assert net.eval() is net
    assert [module.training for module in net.modules()] == [False] * 4
    assert [module.training for module in net.train().modules()] == [True] * 4


def test_zero_grad_forgets_every_gradient():
    net = network()
    net(tensor(normal(2, 1, 4, 4))).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())


def test_double_and_float_convert_in_place():
    net = network()
    assert net.double() is net
    assert {value.dtype for value in net.state_dict().values()} == {np.dtype(np.float64), np.dtype(np.int64)}
    assert net(tensor(normal(2, 1, 4, 4))).dtype == np.float64
    assert {parameter.dtype for parameter in net.float().parameters()} == {np.dtype(np.float32)}


def test_a_state_is_a_copy_that_restores_the_network():
    net, other = network(), network()
    net(tensor(normal(2, 1, 4, 4)))
    state = net.state_dict()
    other[0].weight.data += 1
    arrays = [value.data for _, value in other._named_tensors()]
    other.load_state_dict(state)
    for name, value in other.state_dict().items():
        assert np.array_equal(value, state[name])
    assert all(
        value.data is array for (_, value), array in zip(other._named_tensors(), arrays, strict=True)
    )  # in place
    state["0.weight"] += 1
    assert not np.array_equal(net.state_dict()["0.weight"], state["0.weight"])
    assert not np.array_equal(other.state_dict()["0.weight"], state["0.weight"])


def test_a_state_of_torch_can_be_loaded():
    twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    net.load_state_dict(twin.state_dict())
    x = normal(5, 3).astype(np.float32)
    np.testing.assert_allclose(net(tensor(x)).detach().data, twin(torch.tensor(x)).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("4.bias"), "4.bias is missing"),
        (lambda s: s.update({"5.bias": np.zeros(3)}), "5.bias is unexpected"),
        (lambda s: s.update({"4.bias": np.zeros(4)}), r"4.bias must have shape \(3,\), got \(4,\)"),
        (lambda s: s.update({"4.bias": np.zeros((3, 1))}), r"4.bias must have shape \(3,\), got \(3, 1\)"),
        (lambda s: s.update({"4.bias": np.array(["a", "b", "c"])}), "4.bias must be numbers, got dtype <U1"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    net = network()
    before, state = net.state_dict(), {name: value + 1 for name, value in net.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(state)
    for name, value in net.state_dict().items():
        assert np.array_equal(value, before[name])


def test_a_network_can_be_copied_deeply():
    net = network()
    twin = copy.deepcopy(net)
    twin[0].weight.data += 1
    assert not np.array_equal(net.state_dict()["0.weight"], twin.state_dict()["0.weight"])
    assert len(twin) == len(net) == 5


def test_the_representation_lists_the_layers():
    assert repr(nn.Linear(3, 4)) == "Linear(in_features=3, out_features=4)"
    assert repr(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Dropout(0.1)))) == (
        "Sequential(\n  0: ReLU(),\n  1: Sequential(\n    0: Dropout(p=0.1)\n  )\n)"
    )


# ---------------------------------------------------------------- many runs as one


RUNS = 3


def build(rng, runs=None):
    """A network of every layer that knows runs; `rng` is one generator or a list of them."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=rng, runs=runs, dtype=np.float64),
        nn.BatchNorm2d(4, runs=runs, dtype=np.float64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(-3),
        nn.Dropout(0.3, rng=rng, runs=runs),
        nn.Linear(16, 5, rng=rng, runs=runs, dtype=np.float64),
        nn.BatchNorm1d(5, runs=runs, dtype=np.float64),
        nn.GELU(),
    )


@pytest.mark.parametrize("shared", [True, False])
def test_a_network_with_a_run_axis_equals_its_runs_one_by_one(shared):
    together = build([generator(seed) for seed in range(RUNS)], RUNS)
    alone = [build(generator(seed)) for seed in range(RUNS)]
    x = normal(RUNS, 6, 1, 4, 4)
    x = x[:1].repeat(RUNS, 0) if shared else x
    for mode in (True, True, False):
        y = together.train(mode)(tensor(x[0] if shared else x))
        assert y.shape == (RUNS, 6, 5)
        together.zero_grad()
        (y * y).sum().backward()
        for r, net in enumerate(alone):
            z = net.train(mode)(tensor(x[r]))
            net.zero_grad()
            (z * z).sum().backward()
            np.testing.assert_allclose(y.data[r], z.data, rtol=1e-13, atol=1e-13)
            for (name, p), q in zip(together.named_parameters(), net.parameters(), strict=True):
                np.testing.assert_allclose(p.grad.data[r], q.grad.data, rtol=1e-10, atol=1e-11, err_msg=name)
    for r, net in enumerate(alone):
        for name, value in net.state_dict().items():
            runs = together.state_dict()[name]
            np.testing.assert_allclose(
                runs if value.ndim == 0 else runs[r], value, rtol=1e-13, atol=1e-15, err_msg=name
            )


def test_shared_input_of_batch_norm_gives_every_run_its_own_scale():
    layer = nn.BatchNorm1d(4, runs=2, dtype=np.float64)
    layer.weight.data[1] = 3
    y = layer(tensor(normal(6, 4)))
    assert y.shape == (2, 6, 4)
    np.testing.assert_allclose(y.data[1], 3 * y.data[0])
    np.testing.assert_allclose(layer.running_var.data[0], layer.running_var.data[1])


def test_one_generator_draws_different_runs_and_a_list_draws_each_its_own():
    weight = nn.Linear(3, 2, rng=generator(), runs=2).weight.data
    assert weight.shape == (2, 2, 3)
    assert not np.array_equal(weight[0], weight[1])
    runs = nn.he_normal((2, 3), [generator(5), generator(6)], runs=2)
    assert np.array_equal(runs[1], nn.he_normal((2, 3), generator(6)))
    assert nn.xavier_uniform((2, 3), generator(), runs=4).shape == (4, 2, 3)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Linear(4, 3), (5, 3), r"Linear: the last axis must have length 4, got shape \(5, 3\)"),
        (nn.Linear(4, 3), (), r"Linear: the last axis must have length 4, got shape \(\)"),
        (nn.Conv2d(2, 3, 3), (2, 1, 5, 5), r"Conv2d: needs \(..., 2, height, width\), got shape \(2, 1, 5, 5\)"),
        (nn.Conv2d(2, 3, 3), (5, 5), "Conv2d: needs"),
        (nn.Conv2d(2, 3, 3), (1, 2, 2, 5), r"window \(3, 3\) does not fit into an image of shape \(2, 5\)"),
        (nn.MaxPool2d(3), (1, 2, 2, 5), "does not fit"),
        (nn.BatchNorm1d(4), (5, 3), r"BatchNorm1d: needs \(batch, 4, ...\), got shape \(5, 3\)"),
        (nn.BatchNorm1d(4), (5, 4, 2, 2), "BatchNorm1d: needs"),
        (nn.BatchNorm2d(4), (5, 4), "BatchNorm2d: needs"),
        (nn.BatchNorm1d(4, runs=2), (3, 5, 4), r"BatchNorm1d: needs \(\[2,\] batch, 4, ...\)"),
        (nn.BatchNorm1d(4), (1, 4), "training needs more than one value for each channel"),
        (nn.Dropout(runs=2), (3, 4), r"Dropout: the first axis must hold 2 runs, got shape \(3, 4\)"),
    ],
)
def test_an_input_of_the_wrong_shape_is_refused(layer, shape, message):
    state = layer.state_dict()
    with pytest.raises(ValueError, match=message):
        layer(tensor(np.ones(shape, np.float32)))
    for name, value in layer.state_dict().items():
        assert np.array_equal(value, state[name])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Dropout(1.5), ValueError, r"Dropout: p must lie in \[0, 1\], got 1.5"),
        (lambda: nn.Dropout(rng=0), TypeError, "must be a numpy Generator such as numpy.random.default_rng.*got int"),
        (lambda: nn.Linear(2, 2, rng=0), TypeError, "must be a numpy Generator"),
        (
            lambda: nn.Linear(2, 2, rng=[generator()], runs=2),
            ValueError,
            "one generator for each run is needed, got 1 for runs=2",
        ),
        (lambda: nn.Linear(2, 2, rng=[generator()]), ValueError, "got 1 for runs=None"),
        (lambda: nn.MaxPool2d(2, padding=2), ValueError, r"padding must be at most half of \(2, 2\), got \(2, 2\)"),
        (lambda: nn.GELU("exact"), ValueError, 'approximate must be "none" or "tanh", got \'exact\''),
        (lambda: nn.he_normal((3,)), ValueError, r"at least two axes \(out, in, ...\), got shape \(3,\)"),
        (lambda: nn.Module()(1), NotImplementedError, "Module does not define forward"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------- the operations of the layers


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda x: apply("unfold", x, (2, 3), (1, 2)), (2, 5, 6)),
        (lambda x: apply("unfold", x, (2, 2), (3, 3)), (2, 1, 5, 7)),
        (lambda x: apply("pad", x, (1, 2), 7.0), (2, 3, 2)),
        (lambda x: apply("pad", x, (0, 1), 0.0), (3, 2)),
        (lambda x: apply("linear", x, x), (2, 3, 3)),
    ],
)
def test_the_operations_of_layers_agree_with_the_complex_step(f, shape):
    assert gradcheck(f, normal(*shape)).complex_step < 1e-13


def test_unfold_lays_out_windows_as_torch_does():
    x = normal(2, 3, 5, 6)
    theirs = torch.nn.functional.unfold(torch.tensor(x), (2, 3), stride=(2, 1))
    assert np.array_equal(apply("unfold", tensor(x), (2, 3), (2, 1)).data, theirs.numpy())
