import numpy as np
import pytest

from lossopt.rules import RULES
from lossopt.rules.matrix import inverse_root, newton_schulz

SHAPES = {4: (2, 2), 5: (1, 5), 6: (3, 2)}


@pytest.fixture
def shape(problem):
    return SHAPES[len(problem.start)]


def as_matrix(numbers, shape):
    return np.array(numbers).reshape(shape)


def put(theta, matrix):
    theta[:] = [float(x) for x in np.ravel(matrix)]


def test_their_defaults():
    assert dict(RULES["muon"].hyper) == {"lr": 1e-3, "momentum": 0.95, "weight_decay": 0.1, "eps": 1e-7}
    assert dict(RULES["shampoo"].hyper) == {"lr": 0.1, "eps": 1e-6}
    soap = {"lr": 3e-3, "beta1": 0.95, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.01, "frequency": 10}
    assert dict(RULES["soap"].hyper) == soap


def test_newton_schulz_is_its_polynomial_on_the_singular_values():
    rng = np.random.default_rng(0)
    for shape in [(3, 5), (5, 3), (4, 4), (1, 6)]:
        x = rng.normal(size=shape)
        left, values, right = np.linalg.svd(x, full_matrices=False)
        values = values / np.sqrt(np.sum(values**2))
        for _ in range(5):
            values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
        np.testing.assert_allclose(newton_schulz(x, 1e-7), left * values @ right, atol=1e-12)
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_a_tall_matrix_is_worked_on_as_the_wide_one_it_is_when_turned():
    """To the last bit: the products of the wide one are smaller, and round otherwise."""
    tall = np.random.default_rng(0).normal(size=(7, 3))
    assert np.array_equal(newton_schulz(tall, 1e-7), newton_schulz(tall.T, 1e-7).T)


def test_newton_schulz_divides_by_eps_at_least():
    x = np.diag([3.0, 4.0])
    np.testing.assert_allclose(newton_schulz(x, 10.0), newton_schulz(2.0 * x, 20.0), atol=1e-15)
    assert (newton_schulz(np.zeros((2, 3)), 1e-7) == 0).all()


def test_inverse_root_of_a_known_matrix():
    # Eigenvalues 16 and 81 less eps, on the diagonals of the plane: fourth roots 2 and 3
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    x = turn @ np.diag([15.5, 80.5]) @ turn.T
    np.testing.assert_allclose(inverse_root(x, 1 / 4, 0.5), turn @ np.diag([1 / 2, 1 / 3]) @ turn.T, atol=1e-14)
    # An eigenvalue that rounding has made negative counts as 0.
    np.testing.assert_allclose(inverse_root(np.diag([-1e-9, 4.0]), 1 / 2, 1e-12), np.diag([1e6, 0.5]), rtol=1e-9)


def polynomial(x):
    for _ in range(5):
        x = 3.4445 * x - 4.775 * x**3 + 2.0315 * x**5
    return x


def test_an_eigenvalue_that_rounding_made_negative_counts_as_zero():
    root = inverse_root(np.diag([4.0, -1e-3]), 1 / 2, 1e-2)
    np.testing.assert_allclose(root, np.diag([4.01**-0.5, 10.0]), rtol=1e-13)


def test_muon_by_hand():
    # One column of one number: length 1 after division, whatever its size, and the polynomial of that.
    lr, momentum, decay = 0.1, 0.6, 0.2
    hyper = {"lr": lr, "momentum": momentum, "weight_decay": decay, "eps": 1e-7}
    w, m = np.ones((1, 1)), 0.0
    expected = 1.0
    # m: 0.4 * 0.5 = 0.2, then 0.12 - 0.4 = -0.28; ahead: 0.12 + 0.2 > 0, then -0.168 - 0.4 < 0
    for g, sign in [(0.5, 1), (-1.0, -1)]:
        w, m = RULES["muon"].rule(w, np.array([[g]]), 1, m, **hyper)
        expected = expected * 0.98 - sign * 0.1 * polynomial(1.0)
        np.testing.assert_allclose(w, expected, rtol=1e-14)
    np.testing.assert_allclose(m, -0.28, rtol=1e-14)
    # Two rows, one column: the step is longer by the root of 2.
    w, m = RULES["muon"].rule(np.zeros((2, 1)), np.array([[3.0], [4.0]]), 1, 0.0, **hyper)
    np.testing.assert_allclose(w, -0.1 * 2**0.5 * polynomial(1.0) * np.array([[0.6], [0.8]]), rtol=1e-13)
    w, m = RULES["muon"].rule(np.zeros((1, 2)), np.array([[3.0, 4.0]]), 1, 0.0, **hyper)
    np.testing.assert_allclose(w, -0.1 * polynomial(1.0) * np.array([[0.6, 0.8]]), rtol=1e-13)


def test_shampoo_by_hand():
    # Diagonal gradients keep everything diagonal; each side gives one fourth root.
    g1, g2 = np.diag([2.0, 3.0]), np.diag([1.0, -4.0])
    w1, L, R = RULES["shampoo"].rule(np.zeros((2, 2)), g1, 1, 0.0, 0.0, lr=0.1, eps=0.5)
    np.testing.assert_allclose(w1, -0.1 * np.diag([2 / 4.5**0.5, 3 / 9.5**0.5]), rtol=1e-14, atol=1e-15)
    w2, L, R = RULES["shampoo"].rule(w1, g2, 2, L, R, lr=0.1, eps=0.5)
    np.testing.assert_allclose(w2 - w1, -0.1 * np.diag([1 / 5.5**0.5, -4 / 25.5**0.5]), rtol=1e-13, atol=1e-15)
    # A single row is divided once by its length's root and once, from the right, by a matrix of rank one.
    w, L, R = RULES["shampoo"].rule(np.zeros((1, 2)), np.array([[3.0, 4.0]]), 1, 0.0, 0.0, lr=0.1, eps=0.5)
    np.testing.assert_allclose(w, -0.1 * np.array([[3.0, 4.0]]) / 25.5**0.5, rtol=1e-13)
    np.testing.assert_allclose((L.item(), R[0, 1]), (25.0, 12.0))


def test_soap_by_hand():
    # Diagonal gradients again: the eigenvectors are the axes, and SOAP is Adam from the second step on.
    hyper = {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "weight_decay": 0.2, "frequency": 2}
    start = np.eye(2)
    w, *state = RULES["soap"].rule(start, np.diag([1.0, 2.0]), 1, *[0.0] * 6, **hyper)
    assert (w == start).all()
    w, *state = RULES["soap"].rule(w, np.diag([0.5, -0.5]), 2, *state, **hyper)
    np.testing.assert_allclose(w, 0.98 * (start - 0.1 * np.diag([0.5, -0.5]) / 0.75), rtol=1e-13, atol=1e-15)
    before = w
    w, *state = RULES["soap"].rule(w, np.diag([1.0, -1.0]), 3, *state, **hyper)
    step = (0.625 / 0.75) / ((0.296875 / 0.4375) ** 0.5 + 0.25)
    np.testing.assert_allclose(w, 0.98 * (before - 0.1 * np.diag([step, -step])), rtol=1e-13, atol=1e-15)


def test_muon_follows_its_pseudo_code(beside_pseudo_code, problem, shape):
    hyper = {"lr": 0.001, "momentum": 0.8, "weight_decay": 0.3, "eps": 0.1}
    momentum = np.zeros(shape)

    def step(t, theta, g):
        w, g = as_matrix(theta, shape), as_matrix(g, shape)
        momentum[:] = momentum + 0.2 * (g - momentum)
        left, values, right = np.linalg.svd(g + 0.8 * (momentum - g), full_matrices=False)
        values = polynomial(values / max(np.sqrt(np.sum(values**2)), 0.1))
        longer = np.sqrt(max(1, shape[0] / shape[1]))
        put(theta, w - 0.001 * 0.3 * w - 0.001 * longer * left @ np.diag(values) @ right)

    beside_pseudo_code(RULES["muon"], step, problem, shape=shape, **hyper)


def test_muon_goes_with_torch_as_far_as_its_bfloat16_lets_it():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for shape in [(5, 3), (3, 5)]:
        start = rng.normal(size=shape)
        p = torch.nn.Parameter(torch.tensor(start))
        optimizer = torch.optim.Muon([p], lr=0.01, momentum=0.8, weight_decay=0.3)
        w, m = start, 0.0
        for t in range(1, 51):
            g = rng.normal(size=shape)
            p.grad = torch.tensor(g)
            optimizer.step()
            w, m = RULES["muon"].rule(w, g, t, m, lr=0.01, momentum=0.8, weight_decay=0.3)
        moved = np.abs(w - start).max()
        assert moved > 0.05
        assert np.abs(w - p.detach().numpy()).max() < 2e-2 * moved


def test_shampoo_follows_its_pseudo_code(beside_pseudo_code, problem, shape):
    rows, columns = shape
    L, R = 1e-2 * np.eye(rows), 1e-2 * np.eye(columns)

    def root(x):
        left, values, right = np.linalg.svd(x)
        return left @ np.diag(values**-0.25) @ right

    def step(t, theta, g):
        g = as_matrix(g, shape)
        L[:] = L + np.einsum("ik,jk->ij", g, g)
        R[:] = R + np.einsum("ki,kj->ij", g, g)
        put(theta, as_matrix(theta, shape) - 0.05 * root(L) @ g @ root(R))

    beside_pseudo_code(RULES["shampoo"], step, problem, shape=shape, tolerance=1e-11, lr=0.05, eps=1e-2)


class RandomGradients:
    """Matrices of four rows and three columns; the gradient of the last row is zero throughout."""

    start = np.linspace(-1.0, 1.0, 12)

    def gradient(self, w, t):
        g = np.random.default_rng(t).normal(size=12) + w
        g[9:] = 0
        return g


def soap_by_its_pseudo_code(shape, lr, beta1, beta2, eps, weight_decay, frequency):
    memory = {"M": np.zeros(shape), "V": np.zeros(shape)}
    memory["L"], memory["R"] = (np.zeros((n, n)) for n in shape)

    def largest_first(x):
        return np.linalg.eigh(x)[1][:, ::-1]

    def gram_schmidt(x):
        q = np.zeros_like(x)
        for j in range(x.shape[1]):
            # Where nothing is left of a column, what is left of some axis will do.
            for column in [x[:, j], *np.eye(len(x))]:
                size = np.linalg.norm(column)
                for _ in range(2):  # twice is as good as exact
                    column = column - q[:, :j] @ (q[:, :j].T @ column)
                if np.linalg.norm(column) > 1e-9 * size:
                    q[:, j] = column / np.linalg.norm(column)
                    break
        return q

    def step(t, theta, g):
        w, g = as_matrix(theta, shape), as_matrix(g, shape)
        k = t - 1  # updates made, this one included: the first gradient only sets up the basis
        if k > 0:
            memory["M"] = beta1 * memory["M"] + (1 - beta1) * g
            g_rotated = memory["QL"].T @ g @ memory["QR"]
            m_rotated = memory["QL"].T @ memory["M"] @ memory["QR"]
            memory["V"] = beta2 * memory["V"] + (1 - beta2) * g_rotated**2
            n = (m_rotated / (1 - beta1**k)) / (np.sqrt(memory["V"] / (1 - beta2**k)) + eps)
            w = w - lr * memory["QL"] @ n @ memory["QR"].T
            put(theta, w - lr * weight_decay * w)
        memory["L"] = beta2 * memory["L"] + (1 - beta2) * np.einsum("ik,jk->ij", g, g)
        memory["R"] = beta2 * memory["R"] + (1 - beta2) * np.einsum("ki,kj->ij", g, g)
        if k == 0:
            memory["QL"], memory["QR"] = largest_first(memory["L"]), largest_first(memory["R"])
        elif k % frequency == 0:
            memory["QL"] = gram_schmidt(memory["L"] @ memory["QL"])
            memory["QR"] = gram_schmidt(memory["R"] @ memory["QR"])

    return step


# Not the quadratic: a gradient of one row leaves eigenvectors free, and rounding would choose them.
@pytest.mark.parametrize("problem", ["rosenbrock", "noisy regression"], indirect=True)
def test_soap_follows_its_pseudo_code(beside_pseudo_code, problem, shape):
    hyper = {"lr": 0.002, "beta1": 0.8, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.1, "frequency": 5}
    step = soap_by_its_pseudo_code(shape, **hyper)
    beside_pseudo_code(RULES["soap"], step, problem, shape=shape, tolerance=1e-10, **hyper)


def test_soap_follows_its_pseudo_code_where_a_row_has_no_gradient(beside_pseudo_code):
    hyper = {"lr": 0.002, "beta1": 0.8, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.1, "frequency": 3}
    step = soap_by_its_pseudo_code((4, 3), **hyper)
    beside_pseudo_code(RULES["soap"], step, RandomGradients(), shape=(4, 3), tolerance=1e-10, **hyper)


def test_soap_keeps_the_averages_whose_axes_it_turns_to():
    """Their size turns nothing, so that the weights alone would not show it."""
    rng = np.random.default_rng(3)
    g1, g2 = rng.normal(size=(2, 4, 3))
    start = rng.normal(size=(4, 3)), *[0.0] * 6
    _, _, _, L, R, *_ = first = RULES["soap"].rule(start[0], g1, 1, *start[1:], beta2=0.75)
    np.testing.assert_allclose(L, 0.25 * g1 @ g1.T, rtol=1e-14)
    np.testing.assert_allclose(R, 0.25 * g1.T @ g1, rtol=1e-14)
    _, _, _, L, R, *_ = RULES["soap"].rule(first[0], g2, 2, *first[1:], beta2=0.75)
    np.testing.assert_allclose(L, 0.75 * 0.25 * g1 @ g1.T + 0.25 * g2 @ g2.T, rtol=1e-13)
    np.testing.assert_allclose(R, 0.75 * 0.25 * g1.T @ g1 + 0.25 * g2.T @ g2, rtol=1e-13)


def test_muons_defaults_are_those_of_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.optim.Muon([torch.zeros(2, 2, requires_grad=True)]).defaults
    assert dict(RULES["muon"].hyper) == {key: theirs[key] for key in RULES["muon"].hyper}


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.matrices_only], ids=lambda rule: rule.name)
def test_a_matrix_rule_says_what_it_needs(rule):
    with pytest.raises(ValueError, match=r"a matrix of shape \(rows, columns\) is needed, got shape \(3,\)"):
        rule.rule(np.ones(3), np.ones(3), 1, *[0.0] * len(rule.state))
