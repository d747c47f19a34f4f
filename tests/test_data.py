"""Data: parts that never overlap, batches that can be repeated, and a download that ends well or says what to do.

Nothing here reaches beyond this machine: the mirrors are a server on 127.0.0.1.
"""

import contextlib
import gzip
import hashlib
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lossopt import data
from lossopt.data import DownloadError, batches, cache_folder, digits, fashion_mnist, mnist

# Digits -----------------------------------------------------------------------------------------------------


def test_digits_are_dealt_into_three_parts_that_hold_every_example_once():
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)

    parts = digits()

    assert [len(part.y) for part in parts] == [1079, 359, 359]
    dealt = [(row.tobytes(), label) for part in parts for row, label in zip(part.x, part.y, strict=True)]
    given = [(row.tobytes(), label) for row, label in zip((x / 16).astype(np.float32), y, strict=True)]
    assert sorted(dealt) == sorted(given)


def test_digits_are_grey_levels_from_0_to_1_with_labels_0_to_9():
    pytest.importorskip("sklearn")
    for part in digits(dtype=np.float64):
        assert part.x.dtype == np.float64
        assert part.y.dtype == np.int64
        assert (part.x.min(), part.x.max()) == (0, 1)
        assert set(part.y) == set(range(10))


def test_a_seed_of_digits_gives_its_split_again_and_another_seed_another():
    pytest.importorskip("sklearn")
    first, again, other = digits(seed=3), digits(seed=3), digits(seed=4)

    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.y, b.y)
    assert not np.array_equal(first.test.x, other.test.x)


def test_digits_without_scikit_learn_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)

    with pytest.raises(ImportError, match=r"lossopt\[data\]"):
        digits()


# Batches ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 5), (10, 10), (1, 1), (7, 2)])
def test_an_epoch_of_batches_shows_every_example_once(n, size):
    epoch = list(batches(n, size, np.random.default_rng(0)))

    assert [len(batch) for batch in epoch[:-1]] == [size] * (len(epoch) - 1)
    assert sorted(np.concatenate(epoch)) == list(range(n))


def test_drop_last_leaves_out_only_the_smaller_batch():
    whole = list(batches(10, 3, np.random.default_rng(0)))
    dropped = list(batches(10, 3, np.random.default_rng(0), drop_last=True))

    assert [list(batch) for batch in dropped] == [list(batch) for batch in whole[:3]]
    assert len(list(batches(10, 5, np.random.default_rng(0), drop_last=True))) == 2


def test_epochs_are_shuffled_anew_and_a_seed_repeats_them():
    rng, again = np.random.default_rng(1), np.random.default_rng(1)
    first, second = (np.concatenate(list(batches(50, 8, rng))) for _ in range(2))

    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, np.concatenate(list(batches(50, 8, again))))
    np.testing.assert_array_equal(second, np.concatenate(list(batches(50, 8, again))))


def test_batches_of_many_runs_equal_the_batches_of_each_run():
    for options in ({}, {"drop_last": True}, {"with_replacement": True}):
        together = list(batches(20, 6, [np.random.default_rng(s) for s in (5, 6, 5)], **options))
        alone = [list(batches(20, 6, np.random.default_rng(s), **options)) for s in (5, 6, 5)]

        assert together[0].shape == (3, 6)
        for step, batch in enumerate(together):
            np.testing.assert_array_equal(batch, [run[step] for run in alone])


def test_drawing_with_replacement_repeats_examples_and_leaves_others_out():
    drawn = np.concatenate(list(batches(1000, 100, np.random.default_rng(0), with_replacement=True)))

    assert drawn.min() >= 0
    assert drawn.max() < 1000
    # n draws from n miss a fraction 1/e of the examples
    assert len(set(drawn)) / 1000 == pytest.approx(1 - np.exp(-1), abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 1, np.random.default_rng(0)), ValueError, "n must be >= 1, got 0"),
        ((5, 0, np.random.default_rng(0)), ValueError, r"size must lie in \[1, 5\].*got 0"),
        ((5, 6, np.random.default_rng(0)), ValueError, r"size must lie in \[1, 5\].*got 6"),
        ((5, 2, [0, 1]), TypeError, "default_rng"),
        ((5, 2, []), ValueError, "empty"),
    ],
)
def test_batches_refuse_what_they_cannot_do_when_they_are_called(arguments, error, message):
    with pytest.raises(error, match=message):
        batches(*arguments)


# The cache folder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, Path("/x/lossopt")),
        ("linux", {"HOME": "/h"}, Path("/h/.cache/lossopt")),
        ("darwin", {"HOME": "/h"}, Path("/h/Library/Caches/lossopt")),
        ("win32", {"LOCALAPPDATA": "/l"}, Path("/l/lossopt")),
        ("win32", {"LOCALAPPDATA": "/l", "LOSSOPT_DATA": "/mine"}, Path("/mine")),
        ("linux", {"XDG_CACHE_HOME": "/x", "LOSSOPT_DATA": "/mine"}, Path("/mine")),
    ],
)
def test_the_cache_lies_where_the_platform_keeps_caches_unless_told_otherwise(monkeypatch, platform, variables, folder):
    for name in ("LOSSOPT_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)

    assert cache_folder() == folder


# Fetching ---------------------------------------------------------------------------------------------------


def idx(array):
    """Write an array of bytes in the IDX format."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


_RNG = np.random.default_rng(0)
_ARRAYS = {
    "train-images-idx3-ubyte": _RNG.integers(256, size=(10_020, 2, 2), dtype=np.uint8),
    "train-labels-idx1-ubyte": _RNG.integers(10, size=10_020, dtype=np.uint8),
    "t10k-images-idx3-ubyte": _RNG.integers(256, size=(30, 2, 2), dtype=np.uint8),
    "t10k-labels-idx1-ubyte": _RNG.integers(10, size=30, dtype=np.uint8),
}
RAW = {name: idx(array) for name, array in _ARRAYS.items()}
PACKED = {f"{name}.gz": gzip.compress(raw, mtime=0) for name, raw in RAW.items()}
FIRST = "train-images-idx3-ubyte"


class Mirror(BaseHTTPRequestHandler):
    """A mirror whose manners are the first part of the path: /good/, /rangeless/, /truncating/, ..."""

    def do_GET(self):
        _, manner, name = self.path.split("/")
        start = self.headers.get("Range")
        self.server.requests.append((manner, name, start))
        start = int(start.removeprefix("bytes=").removesuffix("-")) if start else 0
        body = PACKED[name]
        if manner == "missing":
            self.send_error(404)
            return
        if manner == "corrupt":
            body = body[:100] + bytes([body[100] ^ 1]) + body[101:]
        if manner == "html":
            body = b"<html>Please log in to this network</html>"
        if manner == "unpacking":
            body = RAW[name.removesuffix(".gz")]
        if manner == "endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    self.wfile.write(bytes(2**16))
                self.server.requests.append("a client that never hangs up")
            return
        if start and manner != "rangeless":
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            body = body[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if manner == "truncating" else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Start a mirror, make it the only source of Fashion-MNIST, and give the cache a folder of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as running:
        running.requests = []
        running.folder = tmp_path / "cache" / "fashion-mnist"

        def mirrors(*manners):
            urls = tuple(f"http://127.0.0.1:{running.server_port}/{manner}/" for manner in manners)
            sha256 = {name: hashlib.sha256(raw).hexdigest() for name, raw in RAW.items()}
            monkeypatch.setattr(data, "_FASHION_MNIST", data._Source("fashion_mnist", "fashion-mnist", urls, sha256))

        running.mirrors = mirrors
        mirrors("good")
        monkeypatch.setenv("LOSSOPT_DATA", str(tmp_path / "cache"))
        monkeypatch.setenv("no_proxy", "*")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def expect_the_data(parts):
    images, labels, test_images, test_labels = _ARRAYS.values()
    assert [len(part.y) for part in parts] == [20, 10_000, 30]
    np.testing.assert_array_equal(parts.test.x, (test_images / 255).astype(np.float32).reshape(30, 4))
    np.testing.assert_array_equal(parts.test.y, test_labels)
    dealt = [(tuple(x), y) for part in parts[:2] for x, y in zip(np.rint(part.x * 255), part.y, strict=True)]
    assert sorted(dealt) == sorted((tuple(x), y) for x, y in zip(images.reshape(-1, 4), labels, strict=True))


def test_a_data_set_is_fetched_once_and_then_read_from_the_cache(server):
    expect_the_data(fashion_mnist())
    assert [name for _, name, _ in server.requests] == list(PACKED)

    expect_the_data(fashion_mnist())
    assert len(server.requests) == 4
    assert {path.name for path in server.folder.iterdir()} == {*PACKED, ".lock"}


def test_the_official_test_part_stays_whole_whatever_the_seed(server):
    first, other = fashion_mnist(seed=1), fashion_mnist(seed=2)

    np.testing.assert_array_equal(first.test.x, other.test.x)
    assert not np.array_equal(first.train.x, other.train.x)


def test_a_download_that_broke_off_resumes_where_it_stopped(server):
    server.folder.mkdir(parents=True)
    half = PACKED[f"{FIRST}.gz"][:5000]
    (server.folder / f"{FIRST}.gz.part").write_bytes(half)

    expect_the_data(fashion_mnist())
    assert server.requests[0] == ("good", f"{FIRST}.gz", "bytes=5000-")
    assert (server.folder / f"{FIRST}.gz").read_bytes() == PACKED[f"{FIRST}.gz"]


def test_a_connection_that_closes_early_is_continued_on_the_next_mirror(server):
    server.mirrors("truncating", "good")

    expect_the_data(fashion_mnist())
    half = len(PACKED[f"{FIRST}.gz"]) // 2
    assert server.requests[:2] == [("truncating", f"{FIRST}.gz", None), ("good", f"{FIRST}.gz", f"bytes={half}-")]


def test_a_connection_that_closes_early_everywhere_is_an_error_and_keeps_what_came(server):
    server.mirrors("truncating")

    with pytest.raises(DownloadError, match=r"closed .* bytes before the end"):
        fashion_mnist()
    assert (server.folder / f"{FIRST}.gz.part").stat().st_size == len(PACKED[f"{FIRST}.gz"]) // 2
    assert not (server.folder / f"{FIRST}.gz").exists()

    server.mirrors("good")
    expect_the_data(fashion_mnist())


def test_a_server_without_ranges_starts_again_from_the_first_byte(server):
    server.mirrors("rangeless")
    server.folder.mkdir(parents=True)
    (server.folder / f"{FIRST}.gz.part").write_bytes(PACKED[f"{FIRST}.gz"][:5000])

    expect_the_data(fashion_mnist())
    assert len(server.requests) == 4
    assert (server.folder / f"{FIRST}.gz").read_bytes() == PACKED[f"{FIRST}.gz"]


@pytest.mark.parametrize("left", ["rotten", "whole", "too long"])
def test_whatever_an_earlier_call_left_does_no_harm(server, left):
    packed = PACKED[f"{FIRST}.gz"]
    server.folder.mkdir(parents=True)
    content = {"rotten": bytes(5000), "whole": packed, "too long": packed + bytes(5000)}[left]
    (server.folder / f"{FIRST}.gz.part").write_bytes(content)

    expect_the_data(fashion_mnist())
    assert not (server.folder / f"{FIRST}.gz.part").exists()


@pytest.mark.parametrize("manner", ["corrupt", "html", "missing", "endless"])
def test_a_bad_mirror_is_passed_over(server, manner, monkeypatch):
    monkeypatch.setattr(data, "_LARGEST", 2**20)
    server.mirrors(manner, "good")

    expect_the_data(fashion_mnist())
    assert "a client that never hangs up" not in server.requests


@pytest.mark.parametrize(
    ("manner", "reason"), [("corrupt", "SHA-256 differs"), ("html", "SHA-256 differs"), ("missing", "404")]
)
def test_a_bad_file_never_reaches_the_cache(server, manner, reason):
    server.mirrors(manner)

    with pytest.raises(DownloadError, match=reason):
        fashion_mnist()
    assert {path.name for path in server.folder.iterdir()} == {".lock"}


def test_a_mirror_that_unpacks_what_it_sends_is_as_good(server):
    server.mirrors("unpacking")

    expect_the_data(fashion_mnist())
    expect_the_data(fashion_mnist())
    assert len(server.requests) == 4


@pytest.mark.parametrize("form", ["raw", "gz", "packed again"])
def test_files_put_into_the_cache_by_hand_are_used_without_a_network(server, form):
    server.mirrors("missing")
    server.folder.mkdir(parents=True)
    for name, raw in RAW.items():
        content = {"raw": raw, "gz": PACKED[f"{name}.gz"], "packed again": gzip.compress(raw, 1)}[form]
        (server.folder / (name if form == "raw" else f"{name}.gz")).write_bytes(content)

    expect_the_data(fashion_mnist())
    assert server.requests == []
    assert len(list(server.folder.iterdir())) == 4  # nothing is written, so the folder may be read-only


def test_a_file_that_rotted_in_the_cache_is_fetched_again(server):
    fashion_mnist()
    kept = server.folder / f"{FIRST}.gz"
    kept.write_bytes(kept.read_bytes()[:-40])

    expect_the_data(fashion_mnist())
    assert len(server.requests) == 5
    assert kept.read_bytes() == PACKED[f"{FIRST}.gz"]


def test_a_rotten_raw_file_does_not_hide_a_good_packed_one(server):
    fashion_mnist()
    (server.folder / FIRST).write_bytes(b"scribble")

    expect_the_data(fashion_mnist())
    assert len(server.requests) == 4


def test_two_readers_at_once_fetch_a_file_once(server):
    if sys.platform == "win32":
        pytest.skip("Windows has no advisory lock; the checksum alone guards the cache there")
    results = []
    readers = [threading.Thread(target=lambda: results.append(fashion_mnist())) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert len(results) == 3
    for parts in results:
        expect_the_data(parts)
    assert len(server.requests) == 4


def test_without_a_network_one_error_says_what_to_do(monkeypatch, tmp_path):
    with socket.socket() as free:  # a port that nobody listens on
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    monkeypatch.setattr(data, "_MNIST", data._Source("mnist", "mnist", (url,), data._MNIST.sha256))
    monkeypatch.setenv("LOSSOPT_DATA", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")

    with pytest.raises(DownloadError) as caught:
        mnist()

    message = str(caught.value)
    for part in ("mnist:", str(tmp_path / "mnist"), url, "refused", "LOSSOPT_DATA", "resumes", *data._MNIST.sha256):
        assert part in message


def test_a_cache_that_cannot_be_written_is_the_same_clear_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LOSSOPT_DATA", str(tmp_path / "file"))

    with pytest.raises(DownloadError, match=r"(?s)mnist: train-images.*LOSSOPT_DATA"):
        mnist()


@pytest.mark.parametrize("source", [data._MNIST, data._FASHION_MNIST])
def test_real_sources_are_four_files_with_their_own_checksums_and_secure_mirrors(source):
    assert list(source.sha256) == list(RAW)
    assert len(set(source.sha256.values())) == 4
    assert all(len(digest) == 64 for digest in source.sha256.values())
    assert len(source.mirrors) >= 2
    assert all(url.startswith("https://") and url.endswith("/") for url in source.mirrors)


@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_the_real_data_has_its_published_shape_where_it_is_cached(load):
    source = {mnist: data._MNIST, fashion_mnist: data._FASHION_MNIST}[load]
    folder = cache_folder() / source.folder
    if not all(os.path.exists(folder / name) or os.path.exists(folder / f"{name}.gz") for name in source.sha256):
        pytest.skip(f"{source.name} is not on this machine, and tests download nothing")

    parts = load()
    assert [part.x.shape for part in parts] == [(50_000, 784), (10_000, 784), (10_000, 784)]
    counts = sum(np.bincount(part.y, minlength=10) for part in parts)
    assert counts.sum() == 70_000
    if load is fashion_mnist:
        assert set(counts) == {7000}
