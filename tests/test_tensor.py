"""The tape against torch, against the complex step, and against values worked out by hand."""

from __future__ import annotations

import copy
import gc
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from lossopt import nn  # registers the operations of the layers
from lossopt.gradcheck import gradcheck
from lossopt.tensor import OPS, Tensor, apply, no_grad, tensor, trace

random = np.random.default_rng(20)


def normal(*shape):
    return random.normal(size=shape)


def positive(*shape):
    return random.uniform(0.2, 3, size=shape)


X, Y = normal(3, 4), normal(3, 4)
MASK = random.random((3, 4)) < 0.5
LABELS = random.integers(0, 4, (3, 1))
PICKS = random.integers(0, 4, (2, 7))
ROWS = [2, 0, 2]
BROADCASTS = [
    (X, Y),
    (X, normal(4)),
    (normal(3, 1), normal(1, 4)),
    (normal(), X),
    (normal(2, 1, 4), X),
    (normal(0, 4), normal(1, 4)),
]
POSITIVE = [(positive(3, 4), positive(3, 4)), (positive(3, 1), positive(4)), (positive(3, 4), positive())]
DIMS = [None, 0, -1, (0, 1)]


def both(f, pairs):
    return [(f, pair) for pair in pairs]


def reductions(method, dims=DIMS):
    return [
        (lambda a, dim=dim, keep=keep: getattr(a, method)(dim, keep), (normal(3, 4),))
        for dim in dims
        for keep in (False, True)
        if dim is not None or not keep
    ]


# operation: [(what to compute in the dialect of both, on which arrays)]
CASES = {
    "add": [*both(lambda a, b: a + b, BROADCASTS), (lambda a: a + 2, (X,)), (lambda a: 2 + a, (X,))],
    "sub": [*both(lambda a, b: a - b, BROADCASTS), (lambda a: a - 2, (X,)), (lambda a: 2 - a, (X,))],
    "mul": [*both(lambda a, b: a * b, BROADCASTS), (lambda a: a * a, (X,)), (lambda a: 3 * a.square(), (X,))],
    "div": [*both(lambda a, b: a / b, POSITIVE), (lambda a: a / 4, (X,)), (lambda a: 4 / a, (positive(3),))],
    "pow": [
        *both(lambda a, b: a**b, POSITIVE),
        *((lambda a, n=n: a**n, (positive(3, 4),)) for n in (-1.5, -1, 0, 0.5, 1, 2, 3)),
        (lambda a: a**3, (X,)),
        (lambda a: a.pow(2), (X,)),
        (lambda a: 2**a, (X,)),
    ],
    "matmul": [
        (lambda a, b: a @ b, pair)
        for pair in [
            (normal(2, 3), normal(3, 4)),
            (normal(3), normal(3)),
            (normal(2, 3), normal(3)),
            (normal(3), normal(3, 2)),
            (normal(5, 2, 3), normal(3, 4)),
            (normal(2, 3), normal(5, 3, 4)),
            (normal(5, 1, 2, 3), normal(4, 3, 2)),
            (normal(3), normal(5, 3, 4)),
            (normal(5, 2, 3), normal(3)),
        ]
    ],
    "maximum": both(lambda a, b: a.maximum(b), BROADCASTS),
    "minimum": both(lambda a, b: a.minimum(b), BROADCASTS),
    "logaddexp": both(lambda a, b: a.logaddexp(b), BROADCASTS),
    "where": [
        *both(lambda a, b: a.where(a > b, b), BROADCASTS),
        (lambda a: a.masked_fill(a > 0.3, -2.0) * a, (X,)),
    ],
    "neg": [(lambda a: -a, (X,))],
    "exp": [(lambda a: a.exp(), (X,))],
    "log": [(lambda a: a.log(), (positive(3, 4),))],
    "log1p": [(lambda a: a.log1p(), (positive(3, 4),))],
    "expm1": [(lambda a: a.expm1(), (X,))],
    "sqrt": [(lambda a: a.sqrt(), (positive(3, 4),))],
    "sin": [(lambda a: a.sin(), (X,))],
    "cos": [(lambda a: a.cos(), (X,))],
    "tanh": [(lambda a: a.tanh(), (X,)), (lambda a: a.tanh(), (normal(),))],
    "atan": [(lambda a: a.atan(), (X,))],
    "erf": [(lambda a: a.erf(), (X,))],
    "sigmoid": [(lambda a: a.sigmoid(), (X,)), (lambda a: a.sigmoid(), (20 * X,))],
    "relu": [(lambda a: a.relu(), (X,))],
    "abs": [(lambda a: a.abs(), (X,))],
    "sign": [(lambda a: a.sign() * a, (X,))],
    "clamp": [
        (lambda a: a.clamp(-0.5, 0.7), (X,)),
        (lambda a: a.clamp(min=0.1), (X,)),
        (lambda a: a.clamp(max=0.1), (X,)),
    ],
    "sum": reductions("sum"),
    "mean": reductions("mean"),
    "amax": [*reductions("amax", DIMS[1:]), (lambda a: a.max(), (X,))],
    "amin": [*reductions("amin", DIMS[1:]), (lambda a: a.min(), (X,))],
    "logsumexp": reductions("logsumexp", DIMS[1:]),
    "log_softmax": [(lambda a, dim=dim: a.log_softmax(dim), (X,)) for dim in (0, -1)],
    "softmax": [(lambda a, dim=dim: a.softmax(dim) * a, (X,)) for dim in (0, -1)],
    "gather": [
        (lambda a, i: a.gather(1, i), (X, LABELS)),
        (lambda a, i: a.gather(-1, i), (X, PICKS)),
        (lambda a: a.max(0).values, (X,)),
        (lambda a: a.max(-1, keepdim=True).values, (X,)),
        (lambda a: a.min(1).values, (X,)),
    ],
    "index": [
        (lambda a: a[1], (X,)),
        (lambda a: a[1:, ::2], (X,)),
        (lambda a: a[..., None, -1], (X,)),
        (lambda a: a[ROWS], (X,)),
        (lambda a: a[ROWS, [1, 1, 1]], (X,)),
        (lambda a: a[a > 0], (X,)),
        (lambda a, i: a[:, i[:, 0]], (X, LABELS)),
    ],
    "reshape": [
        (lambda a: a.reshape(2, 6), (X,)),
        (lambda a: a.view(-1), (X,)),
        (lambda a: a.reshape((4, -1)).mT, (X,)),
        (lambda a: a.flatten(), (normal(2, 3, 4),)),
        (lambda a: a.flatten(1), (normal(2, 3, 4),)),
        (lambda a: a.flatten(0, 1), (normal(2, 3, 4),)),
        (lambda a: a.flatten(), (normal(),)),
        (lambda a: a.squeeze(), (normal(1, 3, 1),)),
        (lambda a: a.squeeze(0), (normal(1, 3, 1),)),
        (lambda a: a.squeeze(1), (normal(1, 3, 1),)),
        (lambda a: a.unsqueeze(1), (X,)),
        (lambda a: a.unsqueeze(-1), (X,)),
    ],
    "permute": [
        (lambda a: a.permute(2, 0, 1), (normal(2, 3, 4),)),
        (lambda a: a.permute((-1, 0, 1)), (normal(2, 3, 4),)),
        (lambda a: a.transpose(0, -1), (normal(2, 3, 4),)),
        (lambda a: a.mT, (normal(2, 3, 4),)),
        (lambda a: a.T, (X,)),
    ],
    "expand": [
        (lambda a: a.expand(2, 3, 4), (normal(3, 1),)),
        (lambda a: a.expand(-1, 4), (normal(3, 1),)),
    ],
    "to": [(lambda a: a.double() * 2, (X,)), (lambda a: a.to(a.dtype), (X,))],
}
OF_LAYERS = {"unfold", "pad", "linear"}  # the layers' own; tests/test_nn.py compares them with torch


def listed(names):
    return [pytest.param(*case, id=f"{name}-{i}") for name in names for i, case in enumerate(CASES[name])]


ALL = listed(CASES)
ANALYTIC = listed(
    name for name in CASES if name != "to"
)  # a conversion to real numbers means to drop the imaginary part


def ours(f, arrays, dtype):
    leaves = [tensor(a.astype(dtype), requires_grad=True) if a.dtype.kind == "f" else tensor(a) for a in arrays]
    return leaves, f(*leaves)


def theirs(f, arrays, dtype):
    leaves = [
        torch.tensor(a.astype(dtype), requires_grad=True) if a.dtype.kind == "f" else torch.tensor(a) for a in arrays
    ]
    return leaves, f(*leaves)


def seeds(shape, dtype):
    return np.random.default_rng(5).normal(size=shape).astype(dtype)


def test_every_operation_of_the_table_is_compared_with_torch():
    assert set(CASES) | OF_LAYERS == set(OPS)


def test_every_differentiable_argument_has_its_pullback():
    for name, (forward, *pullbacks) in OPS.items():
        arguments = pullbacks[0].__code__.co_varnames[: pullbacks[0].__code__.co_argcount][2:]
        differentiable = [a for a in arguments if a in ("a", "b", "x", "w")]
        assert len(pullbacks) == len(differentiable), name
        assert callable(forward)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 2e-6)])
@pytest.mark.parametrize(("f", "arrays"), ALL)
def test_value_and_gradients_are_those_of_torch(f, arrays, dtype, tolerance):
    a, y = ours(f, arrays, dtype)
    b, z = theirs(f, arrays, dtype)
    assert y.shape == tuple(z.shape)
    assert str(y.dtype) == str(z.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=tolerance, atol=tolerance)
    y.backward(tensor(seeds(y.shape, y.dtype)))
    z.backward(torch.tensor(seeds(y.shape, y.dtype)))
    for p, q in zip(a, b, strict=True):
        if p.requires_grad:
            assert p.grad.dtype == dtype
            scale = max(1, np.abs(q.grad.numpy()).max(initial=0))
            np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize(("f", "arrays"), ANALYTIC)
def test_the_tape_agrees_with_the_complex_step_to_the_last_digits(f, arrays):
    agreement = gradcheck(f, *arrays, tolerance=1e-6, complex_tolerance=1e-12)
    assert agreement.complex_step is not None


@pytest.mark.parametrize(("f", "arrays"), ALL)
def test_no_argument_and_no_incoming_gradient_is_changed(f, arrays):
    leaves, y = ours(f, arrays, np.float64)
    seed = seeds(y.shape, np.float64)
    before = [leaf.data.copy() for leaf in leaves], seed.copy(), y.data.copy()
    y.backward(seed)
    y.backward(seed)
    for leaf, data in zip(leaves, before[0], strict=True):
        assert np.array_equal(leaf.data, data)
        if leaf.requires_grad:
            assert leaf.grad.data.flags.owndata
            assert leaf.grad.data.flags.writeable
            assert not np.shares_memory(leaf.grad.data, seed)
    assert np.array_equal(seed, before[1])
    assert np.array_equal(y.data, before[2])


# ---------------------------------------------------------------- broadcasting


@settings(max_examples=60, deadline=None)
@given(
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0),
    name=st.sampled_from(["__add__", "__sub__", "__mul__", "__truediv__", "maximum", "minimum", "logaddexp"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_broadcasting_gradients_have_the_shapes_and_values_of_torch(shapes, name, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.5, 2, size=shape) for shape in shapes.input_shapes]
    a, y = ours(lambda p, q: getattr(p, name)(q), arrays, np.float64)
    b, z = theirs(lambda p, q: getattr(p, name)(q), arrays, np.float64)
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert y.shape == shapes.result_shape
    for p, q in zip(a, b, strict=True):
        assert p.grad.shape == p.shape
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_shapes_that_do_not_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\) \(4,\)"):
        tensor([1.0, 2, 3]) + tensor([1.0, 2, 3, 4])


# ---------------------------------------------------------------- conventions at ties, by value


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (lambda a: a.abs(), [0.0], [0.0]),
        (lambda a: a.relu(), [0.0, -0.0], [0.0, 0.0]),
        (lambda a: a.sign(), [0.0, 2.0], [0.0, 0.0]),
        (lambda a: a.clamp(-1, 1), [-1.0, 1.0, -1.1, 1.1], [1.0, 1.0, 0.0, 0.0]),
        (lambda a: a.clamp(min=0), [0.0], [1.0]),
        (lambda a: a.maximum(tensor([0.0])), [0.0], [0.5]),
        (lambda a: a.minimum(tensor([0.0])), [0.0], [0.5]),
        (lambda a: a.maximum(a), [3.0], [1.0]),
        (lambda a: a.amax(), [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
        (lambda a: a.amin(0), [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]),
        (lambda a: a.max(), [2.0, 2.0, 2.0, 1.0], [1 / 3, 1 / 3, 1 / 3, 0.0]),
        (lambda a: a.max(0).values, [1.0, 2.0, 2.0], [0.0, 1.0, 0.0]),
        (lambda a: a.min(0).values, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
        (lambda a: a**0, [0.0], [0.0]),
        (lambda a: a**1, [0.0], [1.0]),
        (lambda a: a**2, [0.0], [0.0]),
        (lambda a: tensor([0.0]) ** a, [2.0, 0.0], [0.0, 0.0]),
        (lambda a: a ** tensor([0.0]), [0.0, 2.0], [0.0, 0.0]),
        (lambda a: a.sqrt(), [0.0], [np.inf]),
    ],
)
def test_the_subgradient_at_a_tie_is_the_stated_one(f, x, slope):
    leaf = tensor(x, requires_grad=True)
    f(leaf).sum().backward()
    np.testing.assert_array_equal(leaf.grad.data, slope)


def test_the_index_of_an_extreme_is_the_first():
    x = tensor([[1.0, 3, 3], [0, 0, 5]])
    assert x.max(1).indices.tolist() == [1, 2]
    assert x.min(1).indices.tolist() == [0, 0]
    assert x.argmax().item() == 5
    assert x.argmin(0, keepdim=True).tolist() == [[1, 1, 0]]


# ---------------------------------------------------------------- limits


INF = np.inf


@pytest.mark.parametrize(
    ("x", "value", "slope"),
    [
        ([-INF, -INF], -INF, [0.5, 0.5]),
        ([INF, 0.0], INF, [1.0, 0.0]),
        ([INF, INF, 0.0], INF, [0.5, 0.5, 0.0]),
        ([-INF, 3.0], 3.0, [0.0, 1.0]),
        ([1e300, -1e300], 1e300, [1.0, 0.0]),
    ],
)
def test_logsumexp_and_softmax_take_their_limits_at_infinity(x, value, slope):
    leaf = tensor(x, requires_grad=True)
    y = leaf.logsumexp(0)
    y.backward()
    assert y.item() == value
    np.testing.assert_array_equal(leaf.grad.data, slope)
    np.testing.assert_array_equal(leaf.softmax(0).detach().data, slope)
    np.testing.assert_allclose(leaf.log_softmax(0).exp().detach().data, slope, rtol=1e-15)
    if len(x) == 2:
        leaf = tensor(x, requires_grad=True)
        y = leaf[0].logaddexp(leaf[1])
        y.backward()
        assert y.item() == value
        np.testing.assert_array_equal(leaf.grad.data, slope)


def test_the_sigmoid_keeps_its_relative_accuracy_far_out():
    assert tensor([-40.0]).sigmoid().item() == pytest.approx(np.exp(-40.0), rel=1e-15)
    assert tensor([-1e4, 1e4]).sigmoid().tolist() == [0.0, 1.0]


def test_infinities_and_nan_propagate_without_warnings():
    x = tensor([0.0, -1.0], requires_grad=True)
    y = x.log()
    assert y.data[0] == -INF
    assert np.isnan(y.data[1])
    y.sum().backward()
    assert x.grad.data[0] == INF
    big = tensor(np.array([3e38], np.float32))
    assert (big * big).item() == INF
    assert np.isnan((big * big - big * big).item())


def test_a_branch_that_was_not_chosen_cannot_poison_the_gradient():
    x = tensor([0.0, 4.0], requires_grad=True)
    x.sqrt().where(x > 0, tensor(0.0)).sum().backward()
    assert np.isnan(x.grad.data[0])  # the chain rule multiplies 0 by the infinite slope of the root, as torch does
    x.grad = None
    x.masked_fill(x == 0, 1.0).sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


# ---------------------------------------------------------------- the engine


def test_a_chain_of_twenty_thousand_operations_works():
    x = tensor(0.5, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y + 1e-4
    (y * y).backward()
    assert x.grad.item() == pytest.approx(2 * 2.5)
    del y
    gc.collect()


def test_a_second_backward_adds_the_same_gradient_again_as_torch_does_when_the_graph_is_kept():
    x, z = tensor([3.0], requires_grad=True), torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    y, w = x * x * x, z * z * z
    y.backward()
    w.backward(retain_graph=True)
    assert x.grad.tolist() == z.grad.tolist() == [27.0]
    y.backward()
    w.backward()
    assert x.grad.tolist() == z.grad.tolist() == [54.0]


def test_shared_intermediate_results_are_visited_once_with_their_whole_gradient():
    x = tensor(2.0, requires_grad=True)
    a = x * x  # 4
    b = a * a  # 16
    (b + a + b * a).backward()  # x^4 + x^2 + x^6
    assert x.grad.item() == 4 * 8 + 2 * 2 + 6 * 32


def test_a_doubling_graph_takes_linear_time():
    x = tensor(1.0, requires_grad=True)
    y = x
    for _ in range(200):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**200


def test_only_leaves_keep_a_gradient():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.sum().backward()
    assert x.is_leaf
    assert not y.is_leaf
    assert y.grad is None
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_leaf_is_its_own_result():
    x = tensor(1.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0


def test_two_leaves_never_share_one_gradient():
    x, y = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    (x + y).backward(np.ones(2))
    x.grad.data *= 5
    assert y.grad.tolist() == [1.0, 1.0]


def test_gradients_add_into_the_array_that_is_there():
    x = tensor([1.0, 2.0], requires_grad=True)
    flat = np.array([10.0, 20.0, 30.0])
    x.grad = Tensor(flat[:2])
    (x * x).sum().backward()
    assert flat.tolist() == [12.0, 24.0, 30.0]


def test_no_gradient_reaches_a_detached_tensor():
    x = tensor(3.0, requires_grad=True)
    (x * x.detach()).backward()
    assert x.grad.item() == 3.0
    assert np.shares_memory(x.detach().data, x.data)


def test_under_no_grad_nothing_is_recorded():
    x = tensor(1.0, requires_grad=True)

    @no_grad()
    def doubled():
        return x * 2

    with no_grad():
        with no_grad():
            pass
        assert not (x * 2).requires_grad
    assert not doubled().requires_grad
    assert (x * 2).requires_grad


def test_no_grad_ends_with_an_exception_and_holds_for_its_thread_only():
    x = tensor(1.0, requires_grad=True)
    seen = []
    worker = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))

    @no_grad()
    def fails():
        worker.start()
        worker.join()
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert seen == [True]
    assert (x * 2).requires_grad


def test_the_record_is_freed_with_the_result():
    import weakref

    x = tensor([1.0], requires_grad=True)
    middle = x * 2
    alive = weakref.ref(middle)
    y = middle * 3
    del middle
    assert alive() is not None
    del y
    assert alive() is None


def test_a_trace_lists_every_tensor_with_its_operation_arguments_and_gradient_from_the_youngest_on():
    x, c = tensor(3.0, requires_grad=True), tensor(5.0)
    square = x * x
    product = square * c
    y = product + 2

    assert [(v.tensor, v.operation, v.arguments) for v in trace(y)] == [
        (y, "add", (product, 2)),
        (product, "mul", (square, c)),
        (square, "mul", (x, x)),
        (x, None, ()),
    ]
    assert [v.gradient.item() for v in trace(y)] == [1, 1, 5, 30]


def test_a_trace_differentiates_the_sum_and_touches_no_grad():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert trace(x * x)[-1].gradient.tolist() == [2.0, 4.0]
    assert x.grad is None

    (x * x).sum().backward()
    trace(x * x)
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_trace_needs_something_that_was_recorded():
    with pytest.raises(ValueError, match="trace: this tensor was not computed from one with requires_grad=True"):
        trace(tensor(1.0) * 2)


def test_an_operation_can_be_added_by_one_row():
    OPS["cube"] = (lambda a: a * a * a, lambda g, y, a: 3 * g * a * a)
    try:
        assert gradcheck(lambda a: apply("cube", a), X).complex_step < 1e-14
    finally:
        del OPS["cube"]


def test_an_unneeded_gradient_is_not_computed():
    def forbidden(g, y, a, b):
        raise AssertionError("nobody asked for this gradient")

    OPS["left"] = (lambda a, b: a * b, lambda g, y, a, b: g * b, forbidden)
    try:
        x = tensor(2.0, requires_grad=True)
        apply("left", x, tensor(5.0)).backward()
        assert x.grad.item() == 5.0
    finally:
        del OPS["left"]


# ---------------------------------------------------------------- dtypes


def test_python_numbers_and_numpy_scalars_do_not_change_the_dtype():
    x = tensor(np.ones(3, np.float32), requires_grad=True)
    for y in (
        x * 2.0,
        2.0 * x,
        x * np.float64(2),
        np.float64(2) * x,
        x**2,
        2**x,
        x / 3,
        x.clamp(0.0, 1.0),
        x.maximum(0.5),
    ):
        assert y.dtype == np.float32
    assert x.where(x > 0, 0.0).dtype == np.float32
    assert x.masked_fill(x > 0, np.float64(1)).dtype == np.float32
    assert x.mean().dtype == x.logsumexp(0).dtype == x.sigmoid().dtype == x.erf().dtype == np.float32


def test_tensors_of_different_dtypes_promote_and_gradients_return_to_their_own():
    x, y = tensor(np.ones(2, np.float32), requires_grad=True), tensor(np.ones(2), requires_grad=True)
    z = x * y + tensor([1, 2])
    assert z.dtype == np.float64
    z.sum().backward()
    assert x.grad.dtype == np.float32
    assert y.grad.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_keeps_its_dtype(dtype):
    x = tensor(np.ones((2, 3), dtype), requires_grad=True)
    y = (x @ x.mT).tanh().sum()
    y.backward()
    assert y.dtype == x.grad.dtype == dtype


def test_python_floats_become_float64_and_integers_stay():
    assert tensor([1.0]).dtype == np.float64
    assert tensor(1).dtype == np.int64
    assert tensor([True]).dtype == np.bool_
    assert tensor([1, 2], dtype=np.float32, requires_grad=True).dtype == np.float32


def test_a_mean_of_half_precision_numbers_does_not_overflow():
    assert tensor(np.full(100_000, 2, np.float16)).mean().item() == 2.0


@pytest.mark.parametrize("data", [[1, 2], [True], [1j]])
def test_only_real_floats_can_require_a_gradient(data):
    with pytest.raises(
        TypeError, match=r"only real floats can require a gradient, got (int64|bool|complex128); call .float\(\)"
    ):
        tensor(data, requires_grad=True)
    with pytest.raises(TypeError, match="only real floats"):
        tensor(data).requires_grad_()


def test_conversions():
    x = tensor([0.0, 1.6], requires_grad=True)
    assert x.float().dtype == np.float32
    assert x.double() is x
    assert x.long().tolist() == [0, 1]
    assert not x.long().requires_grad
    assert x.bool().tolist() == [False, True]
    assert x.to("float32").requires_grad
    assert tensor([1j, 0]).bool().tolist() == [True, False]
    with pytest.raises(TypeError, match="float64 would drop the imaginary part of complex128"):
        tensor([1j]).double()


# ---------------------------------------------------------------- making and reading tensors


def test_tensor_copies_and_the_class_shares():
    data = np.zeros(3)
    assert not np.shares_memory(tensor(data).data, data)
    assert np.shares_memory(Tensor(data).data, data)
    assert tensor(tensor([1.0], requires_grad=True)).is_leaf


def test_foreign_byte_order_and_memory_order_become_native():
    x = tensor(np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)))
    assert x.dtype.isnative
    assert x.data.flags.c_contiguous
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("data", "message"),
    [("text", "must be numbers"), ([None], "must be numbers"), (np.ma.array([1.0], mask=[True]), "lose their mask")],
)
def test_what_is_not_numbers_is_refused(data, message):
    with pytest.raises(TypeError, match=message):
        tensor(data)


def test_the_array_stands_on_either_side():
    x = tensor([1.0, 2.0], requires_grad=True)
    for y in (np.array([3.0, 4.0]) * x, x * np.array([3.0, 4.0]), [3.0, 4.0] * x):
        assert isinstance(y, Tensor)
        assert y.tolist() == [3.0, 8.0]
    assert (np.eye(2) @ x).tolist() == [1.0, 2.0]
    assert (np.array([5.0, 5.0]) - x).tolist() == [4.0, 3.0]
    assert (np.array([1.0, 3.0]) < x).tolist() == [False, False]


def test_comparisons_give_booleans_without_gradient():
    x, y = tensor([1.0, 2.0, 3.0], requires_grad=True), tensor([2.0, 2.0, 2.0])
    table = {
        "lt": (x < y, [True, False, False]),
        "le": (x <= y, [True, True, False]),
        "gt": (x > 2, [False, False, True]),
        "ge": (x >= 2, [False, True, True]),
        "eq": (x == y, [False, True, False]),
        "ne": (x != y, [True, False, True]),
        "and": ((x > 1) & (x < 3), [False, True, False]),
        "or": ((x < 2) | (x > 2), [True, False, True]),
        "not": (~(x > 2), [True, True, False]),
    }
    for name, (result, expected) in table.items():
        assert result.tolist() == expected, name
        assert result.dtype == np.bool_
        assert not result.requires_grad


def test_complex_numbers_are_compared_by_their_real_part():
    x = tensor([1 + 1e-30j, 0 + 1e-30j])
    assert (x > 0).tolist() == [True, False]
    assert (x <= tensor([1 + 0j, 0j])).tolist() == [True, True]
    assert x.abs().data.imag.tolist() == [1e-30, 0.0]
    assert x.relu().data.imag.tolist() == [1e-30, 0.0]
    assert tensor([2 + 0j, 2 + 1e-30j, 0]).argmax().item() == 0
    assert tensor([3 + 0j, 2 + 1e-30j, 2]).argmin().item() == 1


def test_questions_about_values():
    x = tensor([[1.0, np.nan], [np.inf, 0.0]])
    assert x.isnan().tolist() == [[False, True], [False, False]]
    assert x.isinf().tolist() == [[False, False], [True, False]]
    assert x.isfinite().tolist() == [[True, False], [False, True]]
    assert x.isfinite().all().item() is False
    assert x.isfinite().any(1).tolist() == [True, True]
    assert x.isfinite().all(1, keepdim=True).tolist() == [[False], [False]]


def test_sizes_and_forms_are_those_of_torch():
    x, z = tensor(normal(2, 3)), torch.zeros(2, 3)
    assert (x.shape, x.size(), x.size(-1), x.ndim, x.dim(), x.numel(), len(x)) == ((2, 3), (2, 3), 3, 2, 2, 6, 2)
    assert (tuple(z.shape), z.size(-1), z.ndim, z.dim(), z.numel(), len(z)) == ((2, 3), 3, 2, 2, 6, 2)
    assert [row.tolist() for row in x] == x.tolist()
    assert x.new_zeros(2, 1).tolist() == [[0.0], [0.0]]
    assert x.new_ones((2,)).tolist() == [1.0, 1.0]
    assert tensor([1]).new_tensor(range(3)).tolist() == [0, 1, 2]
    assert {y.dtype for y in (x.new_zeros(1), x.new_ones(1), x.new_tensor([1]))} == {x.dtype}
    assert np.asarray(x).tolist() == x.tolist()
    assert x.numpy() is x.data
    assert x.zero_().data.sum() == 0


def test_one_value_converts_to_a_python_number():
    assert tensor(2.5).item() == float(tensor([2.5])) == 2.5
    assert int(tensor(3)) == 3
    assert bool(tensor([0.0])) is False
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tensor([1.0, 2.0]))
    with pytest.raises(TypeError):
        len(tensor(1.0))
    with pytest.raises(TypeError):
        iter(tensor(1.0))


def test_the_representation_shows_what_matters():
    assert repr(tensor([1.0, 2.5], requires_grad=True)) == "tensor([1. , 2.5], requires_grad=True)"
    assert repr(tensor(np.float32(1))) == "tensor(1., dtype=float32)"
    assert repr(tensor([[1], [2]])) == "tensor([[1],\n        [2]])"


def test_a_leaf_can_be_copied_deeply():
    x = tensor([1.0], requires_grad=True)
    (x * 2).sum().backward()
    twin = copy.deepcopy(x)
    twin.data += 1
    twin.grad.data += 1
    assert x.tolist() == [1.0]
    assert x.grad.tolist() == [2.0]
    assert twin.requires_grad


# ---------------------------------------------------------------- in place


def test_a_parameter_is_updated_in_place_under_no_grad():
    w = tensor([1.0, 2.0, 4.0], requires_grad=True)
    data = w.data
    (w * w).sum().backward()
    with no_grad():
        w -= 0.25 * w.grad
        w += 1
        w *= 2
        w /= tensor([1.0, 2.0, 4.0])
    assert w.data is data
    assert w.tolist() == [3.0, 2.0, 1.5]
    assert w.is_leaf
    assert w.requires_grad


def test_an_in_place_operation_that_backward_could_not_see_is_refused():
    w = tensor([1.0], requires_grad=True)
    constant = tensor([1.0])
    with pytest.raises(ValueError, match=r"under no_grad\(\)"):
        w -= 0.1
    with pytest.raises(ValueError, match=r"write `x = x \+ y`"):
        constant += w
    assert w.tolist() == constant.tolist() == [1.0]


# ---------------------------------------------------------------- errors


def test_backward_says_what_it_needs():
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(
        ValueError, match=r"only one element needs no gradient, got shape \(2,\); reduce it first, e.g. .sum\(\)"
    ):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"must have the tensor's shape \(2,\), got \(3,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(ValueError, match="requires_grad=True"):
        tensor(1.0).backward()
    with pytest.raises(ValueError, match=r"call .detach\(\) on a computed tensor"):
        (x * 2).requires_grad_(False)
    with pytest.raises(ValueError, match=r"call .detach\(\).numpy\(\)"):
        x.numpy()
    assert x.grad is None


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ([[4], [0], [0]], IndexError, r"must lie in \[0, 4\), got values from 0 to 4"),
        ([[-1], [0], [0]], IndexError, r"must lie in \[0, 4\), got values from -1 to 0"),
        ([0, 1, 2], ValueError, r"must have 2 axes like the tensor, got shape \(3,\)"),
        ([[0.0], [0.0], [0.0]], TypeError, "must be of integers, got float64"),
        ([[True], [True], [True]], TypeError, "must be of integers, got bool"),
    ],
)
def test_gather_refuses_what_does_not_name_an_element(index, error, message):
    with pytest.raises(error, match=f"gather: the index {message}"):
        tensor(X).gather(1, tensor(index))


def test_gather_takes_an_empty_index():
    assert tensor(X).gather(1, tensor(np.zeros((3, 0), int))).shape == (3, 0)


def test_methods_refuse_what_torch_refuses():
    with pytest.raises(TypeError, match=r"mean: needs floating-point values, got bool; call .float\(\)"):
        (tensor(X) > 0).mean()
    with pytest.raises(ValueError, match=r"mT: needs at least two axes, got shape \(2,\)"):
        tensor([1.0, 2.0]).mT  # noqa: B018  # reading the property is the test
    with pytest.raises(ValueError, match="reshape"):
        tensor(X).reshape(5, 5)


def test_layers_register_their_operations_here():
    assert nn.__name__ == "lossopt.nn"
    assert set(OPS) >= OF_LAYERS


@pytest.mark.parametrize(
    "stops",
    [
        lambda x: x.relu(),
        lambda x: x.clamp(0.0, 1.0),
        lambda x: x.maximum(x.new_tensor([0.0, 0.0, 0.0])),
        lambda x: (-x).minimum(x.new_tensor([0.0, 0.0, 0.0])),
    ],
    ids=["relu", "clamp", "maximum", "minimum"],
)
def test_an_infinite_gradient_ends_where_a_slope_is_0_as_in_torch(stops):
    slopes = []
    for make in (tensor, torch.tensor):
        x = make([-1.0, 0.5, -2.0], requires_grad=True)
        (stops(x) * make([np.inf, np.inf, 3.0])).sum().backward()
        slopes.append(x.grad.tolist())
    assert slopes[0] == slopes[1]
    assert slopes[0][0] == 0


def test_relu_does_not_hide_a_nan_and_its_gradient_is_that_of_torch():
    slopes = []
    for make in (tensor, torch.tensor):
        x = make([np.nan, 0.0, 1.0], requires_grad=True)
        (x.relu() * make([2.0, 3.0, 4.0])).sum().backward()
        slopes.append(x.grad.tolist())
    assert slopes == [[2.0, 0.0, 4.0]] * 2
