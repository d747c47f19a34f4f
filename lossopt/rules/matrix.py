"""Matrix rules: a weight matrix steps along its rows and columns together, not entry by entry."""

from ..primitives import eigh, matrices_only, maximum, norm, qr, transposed


def newton_schulz(x, eps):
    """Pull all singular values of a matrix towards 1, so that little more than its directions remain.

    Five steps of a polynomial that is steep at 0 and never settles: a singular value of at least a five-hundredth of
    the matrix's length ends between about 0.7 and 1.2, a smaller one below.

    Parameters
    ----------
    x : array, shape (rows, columns)
        Any matrix.
    eps : float
        The least length it is divided by.

    Returns
    -------
    array, shape (rows, columns)

    Raises
    ------
    ValueError
        If `x` is not a matrix.

    Source
    ------
    Jordan, Jin, Boza, You, Cesista, Newhouse and Bernstein (2024), Muon: An optimizer for hidden layers in neural
    networks, https://kellerjordan.github.io/posts/muon/.
    """
    if transposed(x).shape[0] < x.shape[0]:  # the products below are smaller for a wide matrix
        return transposed(newton_schulz(transposed(x), eps))
    x = x / maximum(norm(x), eps)
    for _ in range(5):
        s = x @ transposed(x)
        x = 3.4445 * x + (-4.775 * s + 2.0315 * s @ s) @ x
    return x


@matrices_only
def muon(w, g, t, m, lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    """Step along the averaged gradient made nearly orthogonal, so that every direction of it counts alike.

    Remembers `m`, a moving average of the gradient.

    Parameters
    ----------
    w, g : arrays, shape (rows, columns)
        The weights of a hidden layer, and the gradient of the loss there.
        Biases, embeddings and output layers are for another rule.
    t : int
        The step, counted from 1 (not used).
    m : array of that shape
        The average of the gradient; 0.0 at first.
    lr : float in [0, inf)
        The learning rate: about the size of each singular value of a step.
    momentum : float in [0, 1]
        The decay of the average, and its share in the mixture with the gradient.
    weight_decay : float in [0, inf)
        The share of a weight that is taken off per unit of `lr`.
    eps : float in [0, inf)
        The least length a mixture is divided by.

    Returns
    -------
    w, m
        The new weights and average.

    Raises
    ------
    ValueError
        If the weights are not a matrix; from a driver also if a hyper-parameter is outside its range.

    Notes
    -----
    Equal to torch, which computes `newton_schulz` in bfloat16 and so differs from the third digit of a step on.
    Keras and optax scale the step by other functions of the shape; optax also corrects the start of the average.
    A convolution's weights are not a matrix: reshape them first.

    Extends
    -------
    nesterov: A matrix for a step whose singular values are all about 1.

    Source
    ------
    Jordan, Jin, Boza, You, Cesista, Newhouse and Bernstein (2024), Muon: An optimizer for hidden layers in neural
    networks, https://kellerjordan.github.io/posts/muon/; with weight decay in Liu, Su, Yao and others (2025), Muon is
    Scalable for LLM Training, arXiv:2502.16982.
    """
    m = momentum * m + (1 - momentum) * g
    ahead = momentum * m + (1 - momentum) * g
    tall = maximum(1.0, w.shape[0] / w.shape[-1])
    return w * (1 - lr * weight_decay) - lr * tall**0.5 * newton_schulz(ahead, eps), m


def inverse_root(x, power, eps):
    """The matrix `x + eps` raised to minus `power`, by its eigenvalues.

    Parameters
    ----------
    x : array, shape (n, n)
        Symmetric, with no negative eigenvalue but for rounding.
    power : float
        One over the root to take.
    eps : float
        Added to every eigenvalue.

    Returns
    -------
    array, shape (n, n)

    Source
    ------
    Gupta, Koren and Singer (2018), Shampoo: Preconditioned Stochastic Tensor Optimization, arXiv:1802.09568.
    """
    values, vectors = eigh(x)
    return vectors * (maximum(values, 0.0) + eps) ** -power @ transposed(vectors)


@matrices_only
def shampoo(w, g, t, L, R, lr=0.1, eps=1e-6):
    """Divide the gradient by the fourth roots of its rows' and of its columns' second moments, one from each side.

    Remembers `L` and `R`, the sums of `g @ g.T` and `g.T @ g`: Adagrad's sum of squares, with the products kept.

    Parameters
    ----------
    w, g : arrays, shape (rows, columns)
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    L : array, shape (rows, rows)
        The sum of products of rows; 0.0 at first.
    R : array, shape (columns, columns)
        The sum of products of columns; 0.0 at first.
    lr : float in [0, inf)
        The learning rate; the default is ours, the paper names none.
    eps : float in [0, inf)
        Added to all eigenvalues: the multiple of the identity that the sums start at.

    Returns
    -------
    w, L, R
        The new weights and sums.

    Raises
    ------
    ValueError
        If the weights are not a matrix; from a driver also if a hyper-parameter is outside its range.

    Notes
    -----
    Equal to the paper; the roots are taken anew at every step, which is exact and slow for large layers.
    The torch_optimizer package takes square roots, and builds `R` from a gradient already divided by the one of `L`.

    Extends
    -------
    adagrad: Sums over whole rows and columns in place of one for each weight, and their matrix roots.

    Source
    ------
    Gupta, Koren and Singer (2018), Shampoo: Preconditioned Stochastic Tensor Optimization, algorithm 1,
    arXiv:1802.09568.
    """
    L = L + g @ transposed(g)
    R = R + transposed(g) @ g
    return w - lr * inverse_root(L, 1 / 4, eps) @ g @ inverse_root(R, 1 / 4, eps), L, R


@matrices_only
def soap(w, g, t, m, v, L, R, Q_L, Q_R, lr=3e-3, beta1=0.95, beta2=0.95, eps=1e-8, weight_decay=0.01, frequency=10):
    """Adam in the coordinates in which Shampoo's two matrices are diagonal.

    Remembers `m`, the average of the gradient, `v`, that of its square in the rotated coordinates, `L` and `R`, those
    of `g @ g.T` and `g.T @ g`, and `Q_L` and `Q_R`, their eigenvectors.
    The first step only finds the eigenvectors; later ones are followed by one power iteration every `frequency` steps.

    Parameters
    ----------
    w, g : arrays, shape (rows, columns)
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1; a plain number, also under a compiler.
    m, v : arrays of that shape
        The averages of the gradient and of its rotated square; 0.0 at first.
    L, Q_L : arrays, shape (rows, rows)
        The average product of rows and its eigenvectors; 0.0 at first.
    R, Q_R : arrays, shape (columns, columns)
        The average product of columns and its eigenvectors; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of `m`, and of all other averages.
    eps : float in [0, inf)
        Added to the root.
    weight_decay : float in [0, inf)
        The share of a weight that is taken off per unit of `lr`, after the step.
    frequency : int in [1, inf)
        The number of steps between two refreshes of the eigenvectors.

    Returns
    -------
    w, m, v, L, R, Q_L, Q_R
        The new weights, averages and eigenvectors.

    Raises
    ------
    ValueError
        If the weights are not a matrix; from a driver also if a hyper-parameter is outside its range.

    Notes
    -----
    The paper's algorithm, started as the authors' code starts it.
    That code also sorts the eigenvectors before each refresh and adds `eps` before the bias correction.

    Extends
    -------
    shampoo, adamw: Adam's averages, taken along the axes that Shampoo finds.

    Source
    ------
    Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson and Kakade (2024), SOAP: Improving and Stabilizing
    Shampoo using Adam, algorithms 3 and 4, arXiv:2409.11321.
    """
    L = beta2 * L + (1 - beta2) * g @ transposed(g)
    R = beta2 * R + (1 - beta2) * transposed(g) @ g
    if t == 1:  # eigenvalues come ascending: minus, so that the power iterations find the largest first
        return w, m, v, L, R, eigh(-L)[1], eigh(-R)[1]
    m = beta1 * m + (1 - beta1) * g
    g_rotated = transposed(Q_L) @ g @ Q_R
    v = beta2 * v + (1 - beta2) * g_rotated * g_rotated
    m_hat = transposed(Q_L) @ m @ Q_R / (1 - beta1 ** (t - 1))
    v_hat = v / (1 - beta2 ** (t - 1))
    w = w - lr * Q_L @ (m_hat / (v_hat**0.5 + eps)) @ transposed(Q_R)
    if (t - 1) % frequency == 0:
        Q_L, Q_R = qr(L @ Q_L)[0], qr(R @ Q_R)[0]
    return w * (1 - lr * weight_decay), m, v, L, R, Q_L, Q_R
