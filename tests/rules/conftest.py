"""Three small problems, a plain loop, and two referees: hand-worked numbers and torch.optim.

Rules that divide by the size of the gradient circle a minimum chaotically when eps is tiny and the rate is not: two
programs that round differently once then part for good.  The tests choose rates and eps at which they do not.
"""

import numpy as np
import pytest

STEPS = 1000


class Quadratic:
    """An ill-conditioned, rotated bowl of five coordinates; the gradient of the fifth is zero throughout."""

    def __init__(self):
        turn = np.linalg.qr(np.array([[2.0, 1, 0, 1], [0, 1, 3, 1], [1, 0, 1, -1], [1, 2, 1, 0]]))[0]
        self.hessian = np.zeros((5, 5))
        self.hessian[:4, :4] = turn @ np.diag([3.0, 1.0, 0.2, 0.02]) @ turn.T
        self.start = np.array([1.5, -2.0, 1.0, 0.5, 0.75])

    def gradient(self, w, t):
        return self.hessian.astype(w.dtype) @ w


class Rosenbrock:
    """The chained banana valley of four coordinates, where the right direction keeps turning."""

    start = np.array([-1.2, 1.0, -0.5, 0.8])

    def gradient(self, w, t):
        g = np.zeros_like(w)
        rise = w[1:] - w[:-1] * w[:-1]
        g[:-1] = -400 * w[:-1] * rise - 2 * (1 - w[:-1])
        g[1:] += 200 * rise
        return g / 100


class NoisyRegression:
    """Least squares on one example a step, of six coordinates: the gradient is a different one every time."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.inputs = rng.normal(size=(97, 6)) * np.array([0.2, 0.5, 1.0, 1.0, 2.0, 0.05])
        self.targets = self.inputs @ rng.normal(size=6) + 0.1 * rng.normal(size=97)
        self.start = rng.normal(size=6)

    def gradient(self, w, t):
        x = self.inputs[t % 97].astype(w.dtype)
        return x * (x @ w - w.dtype.type(self.targets[t % 97]))


PROBLEMS = {"quadratic": Quadratic, "rosenbrock": Rosenbrock, "noisy regression": NoisyRegression}


@pytest.fixture(params=PROBLEMS)
def problem(request):
    return PROBLEMS[request.param]()


@pytest.fixture
def path():
    """The weights after every step of a rule in a plain loop."""

    def path(rule, problem, *, steps=STEPS, dtype=np.float64, shape=None, **hyper):
        w, state, points = problem.start.astype(dtype), None, []
        for t in range(1, steps + 1):
            g = problem.gradient(w, t)
            if shape:
                w, g = w.reshape(shape), g.reshape(shape)
            new = rule.rule(w, g, t, *(state or [0.0] * len(rule.state)), **hyper)
            w, *state = new if rule.state else (new,)
            w = w.reshape(-1)
            points.append(w)
        return np.array(points)

    return path


@pytest.fixture
def by_hand():
    """Assert that a rule, started at 1.0 on floats, visits the points worked out by hand."""

    def by_hand(rule, gradients, points, **hyper):
        w, state = 1.0, [0.0] * len(rule.state)
        assert set(hyper) == set(rule.hyper), "a hand-worked case sets every hyper-parameter"
        for t, (g, expected) in enumerate(zip(gradients, points, strict=True), start=1):
            new = rule.rule(w, g, t, *state, **hyper)
            w, *state = new if rule.state else (new,)
            assert w == pytest.approx(expected, rel=1e-14, abs=1e-15), f"step {t}"

    return by_hand


@pytest.fixture
def beside_torch(path):
    """Assert that a rule and an optimizer of torch stay together for a thousand steps."""
    torch = pytest.importorskip("torch")

    def beside_torch(rule, optimizer, problem, dtype, tolerance, *, theirs=None, **hyper):
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # NAdam keeps its product of momenta in the default type
        try:
            p = torch.nn.Parameter(torch.tensor(problem.start.astype(dtype)))
            stepper = optimizer([p], **(hyper if theirs is None else theirs))
            points = []
            for t in range(1, STEPS + 1):
                p.grad = torch.from_numpy(problem.gradient(p.detach().numpy(), t))
                stepper.step()
                points.append(p.detach().numpy().copy())
        finally:
            torch.set_default_dtype(before)
        ours = path(rule, problem, dtype=dtype, **hyper)
        assert ours.dtype == dtype
        assert np.isfinite(ours).all()
        assert not np.allclose(ours[0], problem.start)
        assert np.max(np.abs(ours - np.array(points))) <= tolerance * max(1.0, np.max(np.abs(ours)))

    return beside_torch


@pytest.fixture
def beside_pseudo_code(path):
    """Assert that a rule follows pseudo-code, `step(t, theta, g)`, that changes a list of weights in place."""

    def beside_pseudo_code(rule, step, problem, *, steps=STEPS, tolerance=1e-12, shape=None, **hyper):
        theta, points = [float(x) for x in problem.start], []
        for t in range(1, steps + 1):
            step(t, theta, [float(x) for x in problem.gradient(np.array(theta), t)])
            points.append(list(theta))
        ours = path(rule, problem, steps=steps, shape=shape, **hyper)
        assert np.isfinite(ours).all()
        assert not np.allclose(ours[-1], problem.start)
        assert np.max(np.abs(ours - np.array(points))) <= tolerance * max(1.0, np.max(np.abs(ours)))

    return beside_pseudo_code


@pytest.fixture
def beside_optax(path):
    """Assert that a rule and a transformation of optax stay together for twenty steps in float64."""
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")

    def beside_optax(rule, transformation, problem, *, steps=20, shape=None, **hyper):
        with jax.enable_x64(True):
            w = jax.numpy.asarray(problem.start.reshape(shape or -1))
            state, points = transformation.init(w), []
            for t in range(1, steps + 1):
                g = problem.gradient(np.asarray(w).reshape(-1), t).reshape(w.shape)
                updates, state = transformation.update(jax.numpy.asarray(g), state, w)
                w = optax.apply_updates(w, updates)
                points.append(np.asarray(w).reshape(-1))
        ours = path(rule, problem, steps=steps, shape=shape, **hyper)
        assert points[0].dtype == np.float64
        np.testing.assert_allclose(ours, points, rtol=0, atol=1e-12)

    return beside_optax
