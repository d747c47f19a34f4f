"""Real data and mini-batches.

- `digits()` comes with scikit-learn: 1,797 images, no download.
- `fashion_mnist()` and `mnist()` are fetched once, checked against their SHA-256 and kept in a cache folder.
- `batches()` cuts any data into mini-batches of indices, for one run or for many at once.

Every loader returns `train, validation, test`, each a pair `x, y`.
Choose on the validation part, report on the test part.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Data", "DownloadError", "Examples", "batches", "cache_folder", "digits", "fashion_mnist", "mnist"]

Array = NDArray[Any]


class Examples(NamedTuple):
    """Inputs and targets of one part of a data set.

    Parameters
    ----------
    x : array, shape (n, features)
        Inputs between 0 and 1.
    y : int64 array, shape (n,)
        Class labels, counted from 0.
    """

    x: Array
    y: Array


class Data(NamedTuple):
    """A data set in three parts without a common example.

    Parameters
    ----------
    train : Examples
        What a model learns from.
    validation : Examples
        What hyper-parameters are chosen on.
    test : Examples
        What is reported, looked at once.
    """

    train: Examples
    validation: Examples
    test: Examples


class DownloadError(OSError):
    """A data set is neither in the cache nor to be had from its mirrors."""


def digits(seed: int = 0, dtype: DTypeLike = np.float32) -> Data:
    """Return the 8x8 handwritten digits that come with scikit-learn: 1,079 to train, 359 to validate, 359 to test.

    Parameters
    ----------
    seed : int
        Seeds the shuffle that deals the examples out; the same seed gives the same parts.
    dtype : dtype
        Floating type of the inputs.

    Returns
    -------
    Data
        Inputs of shape (n, 64), grey levels divided by their maximum 16; labels 0 to 9.

    Raises
    ------
    ImportError
        When scikit-learn is not installed.

    Notes
    -----
    The examples are dealt out at random, so one writer's digits may lie in more than one part.

    Source
    ------
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (1998), UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("digits: needs scikit-learn; install it with the extra `lossopt[data]`") from error
    x, y = load_digits(return_X_y=True)
    held_out = len(y) // 5
    return _deal((x / 16).astype(dtype), y.astype(np.int64), held_out, seed, test=held_out)


def mnist(seed: int = 0, dtype: DTypeLike = np.float32) -> Data:
    """Return the MNIST handwritten digits: 50,000 to train, 10,000 to validate, 10,000 to test.

    Parameters
    ----------
    seed : int
        Seeds the choice of the validation examples among the 60,000; the test part is always the official one.
    dtype : dtype
        Floating type of the inputs.

    Returns
    -------
    Data
        Inputs of shape (n, 784), grey levels divided by 255; labels 0 to 9.
        Convolutions want `x.reshape(-1, 1, 28, 28)`.

    Raises
    ------
    DownloadError
        When the files are not in the cache and cannot be downloaded; the message says what to do.

    Source
    ------
    LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition (1998),
    https://doi.org/10.1109/5.726791.
    """
    return _idx_data(_MNIST, seed, dtype)


def fashion_mnist(seed: int = 0, dtype: DTypeLike = np.float32) -> Data:
    """Return the Fashion-MNIST pictures of clothes: 50,000 to train, 10,000 to validate, 10,000 to test.

    Parameters
    ----------
    seed : int
        Seeds the choice of the validation examples among the 60,000; the test part is always the official one.
    dtype : dtype
        Floating type of the inputs.

    Returns
    -------
    Data
        Inputs of shape (n, 784), grey levels divided by 255; labels 0 to 9: T-shirt or top, trouser, pullover, dress,
        coat, sandal, shirt, sneaker, bag, ankle boot. Convolutions want `x.reshape(-1, 1, 28, 28)`.

    Raises
    ------
    DownloadError
        When the files are not in the cache and cannot be downloaded; the message says what to do.

    Notes
    -----
    On Debian the package `dataset-fashion-mnist` holds the files: set `LOSSOPT_DATA=/usr/share/datasets`.

    Source
    ------
    Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms
    (2017), https://arxiv.org/abs/1708.07747. Data under the MIT licence.
    """
    return _idx_data(_FASHION_MNIST, seed, dtype)


def batches(
    n: int,
    size: int,
    rng: np.random.Generator | Sequence[np.random.Generator],
    *,
    drop_last: bool = False,
    with_replacement: bool = False,
) -> Iterator[NDArray[np.int64]]:
    """Yield one epoch of mini-batches as arrays of indices.

    Parameters
    ----------
    n : int
        Number of examples, >= 1.
    size : int
        Examples a batch, 1 to `n`; the last batch of an epoch is smaller where `size` does not divide `n`.
    rng : numpy.random.Generator or sequence of them
        Source of the shuffle, advanced by every epoch. A sequence of R generators gives the batches of R runs at once,
        each row exactly what its generator gives alone.
    drop_last : bool
        Leave the smaller last batch out.
    with_replacement : bool
        Draw each example independently instead of shuffling: what the theory of stochastic gradients assumes.

    Yields
    ------
    int64 array, shape (size,) or (R, size)
        Indices of the examples in the batch.

    Raises
    ------
    ValueError, TypeError
        When a size is out of range, or `rng` is not a generator; raised by the call, before the first batch.
    """
    if n < 1:
        raise ValueError(f"batches: n must be >= 1, got {n}")
    if not 1 <= size <= n:
        raise ValueError(f"batches: size must lie in [1, {n}] (the number of examples), got {size}")
    rngs = [rng] if isinstance(rng, np.random.Generator) else list(rng)
    for generator in rngs:
        if not isinstance(generator, np.random.Generator):
            raise TypeError(f"batches: rng must be numpy.random.default_rng(seed) or a list of them, got {generator!r}")
    if not rngs:
        raise ValueError("batches: rng is an empty list, at least one generator is needed")
    if with_replacement:
        order = np.stack([generator.integers(n, size=n) for generator in rngs])
    else:
        order = np.stack([generator.permutation(n) for generator in rngs])
    if isinstance(rng, np.random.Generator):
        order = order[0]
    stop = n - n % size if drop_last else n
    return (order[..., i : i + size] for i in range(0, stop, size))


def cache_folder() -> Path:
    """Return the folder that downloaded data is kept in.

    Returns
    -------
    pathlib.Path
        `$LOSSOPT_DATA` where it is set, else `lossopt` in the platform's folder for caches. It need not exist yet.
    """
    if chosen := os.environ.get("LOSSOPT_DATA"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "lossopt"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lossopt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lossopt"


@dataclass(frozen=True)
class _Source:
    """Where a data set in the IDX format lives and what its four files must contain.

    The checksum is of the *uncompressed* file: one unpacked, or packed again, by hand is as good as the original.
    """

    name: str
    folder: str
    mirrors: tuple[str, ...]
    sha256: Mapping[str, str]


_MNIST = _Source(
    "mnist",
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)
_FASHION_MNIST = _Source(
    "fashion_mnist",
    "fashion-mnist",
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
)

_LARGEST = 64 * 2**20  # bytes: no file of these data sets is larger, so nothing larger is ever unpacked or downloaded
_TIMEOUT = 30  # seconds without a byte


def _idx_data(source: _Source, seed: int, dtype: DTypeLike) -> Data:
    x, y, x_test, y_test = (_parse_idx(_load(source, name)) for name in source.sha256)
    parts = _deal(_grey(x, dtype), y.astype(np.int64), 10_000, seed)
    return parts._replace(test=Examples(_grey(x_test, dtype), y_test.astype(np.int64)))


def _grey(images: Array, dtype: DTypeLike) -> Array:
    grey: Array = images.reshape(len(images), -1).astype(dtype)
    grey /= 255
    return grey


def _deal(x: Array, y: Array, validation: int, seed: int, test: int = 0) -> Data:
    """Deal shuffled examples out: the first go to validation, the next to test, the rest to training."""
    order = np.random.default_rng(seed).permutation(len(y))
    at = np.split(order, [validation, validation + test])
    return Data(*(Examples(x[i], y[i]) for i in (at[2], at[0], at[1])))


def _parse_idx(raw: bytes) -> Array:
    """Read IDX of unsigned bytes: two zeros, the type 8, the number of axes, their big-endian lengths, the data."""
    axes = raw[3]
    shape = np.frombuffer(raw, ">u4", axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _load(source: _Source, name: str) -> bytes:
    """Return the content of one file, from the cache or else from the first mirror that delivers it."""
    folder = cache_folder() / source.folder
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists() and (raw := _verified(path, source.sha256[name])):
            return raw
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            return _fetch(source, name, folder)
    except OSError as error:
        reason = error if isinstance(error, DownloadError) else f"  {error}"
        files = "\n".join(f"  {file}" for file in source.sha256)
        raise DownloadError(
            f"{source.name}: {name} is not in {folder} and could not be downloaded:\n{reason}\n"
            f"With a network, call {source.name}() again: a download that broke off resumes.\n"
            f"Without one, put these files, raw or with .gz, into {folder}\n"
            f"(or into {source.folder}/ of another folder, and set LOSSOPT_DATA to that folder):\n{files}"
        ) from error


def _fetch(source: _Source, name: str, folder: Path) -> bytes:
    kept = folder / f"{name}.gz"
    if kept.exists() and (raw := _verified(kept, source.sha256[name])):
        return raw  # another process fetched it while this one waited for the lock
    part = folder / f"{name}.gz.part"
    urls = [f"{mirror}{name}.gz" for mirror in source.mirrors]
    reasons = {}
    # What an earlier call left may be bad; then every mirror deserves a second try from the first byte.
    for url in urls * 2 if part.exists() else urls:
        try:
            _download(url, part)
        except (OSError, HTTPException) as error:
            reasons[url] = str(error) or type(error).__name__
            continue
        if raw := _verified(part, source.sha256[name]):
            os.replace(part, kept)  # atomic: the cache holds a whole file or none
            return raw
        part.unlink()
        reasons[url] = "what came is not the published file (SHA-256 differs)"
    raise DownloadError("\n".join(f"  {url}: {reason}" for url, reason in reasons.items()))


def _download(url: str, part: Path) -> None:
    """Download into `part`, continuing what is already there where the server can."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        if have and error.code == 416:  # nothing lies beyond what we have: it is whole, or it is not this file
            return
        raise
    with response, open(part, "ab" if response.status == 206 else "wb") as file:
        while chunk := response.read(2**16):
            file.write(chunk)
            if file.tell() > _LARGEST:
                return  # this is no file of ours, and its checksum will say so
        if response.length:  # http.client does not report a connection that closes early
            raise OSError(f"the connection closed {response.length} bytes before the end")


def _verified(path: Path, sha256: str) -> bytes | None:
    """Return the uncompressed content of a file, or None where it is not what the checksum asks for."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = zlib.decompressobj(wbits=31).decompress(raw, _LARGEST)
        except zlib.error:
            return None
    return raw if hashlib.sha256(raw).hexdigest() == sha256 else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch into a folder: pages of a site are executed side by side."""
    with open(folder / ".lock", "wb") as lock:
        if sys.platform != "win32":  # Windows has no such lock; there the checksum still guards the cache
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
