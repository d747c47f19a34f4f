"""Keep a training in one file and go on from it, bit for bit, without pickle.

- `save(path, net=net, optimizer=optimizer, rng=rng, epoch=3)` writes the file;
- `load(path, net=net, optimizer=optimizer, rng=rng)` fills the objects it is given and returns the rest.

The name says the format: `.npz` needs numpy alone, `.safetensors` the extra `lossopt[safetensors]`.
A process that is killed while it saves leaves the old file or the new one, whole.
Beside it may lie what it had written so far, `.NAME.*.part`: nothing reads it, and it may be deleted.

The file holds arrays and one text, the manifest: names, shapes, dtypes, all numbers and strings, and a SHA-256 over
everything, by which damage is told from a file that belongs to another network.
The checksum is no signature: whoever can write the file can write a checksum too.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import os
import re
import secrets
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

__all__ = ["DamagedError", "load", "save"]

Array: TypeAlias = np.ndarray[Any, Any]
Arrays: TypeAlias = dict[str, Array]

VERSION = 1  # of the layout of the file
DTYPES = {np.dtype(code).name for code in "?bBhHiIqQefd"}  # truth values, integers, floating-point numbers
# NumPy trusts these two: beyond their end a generator would read memory that is not its own.
POSITIONS = {"pos": 624, "buffer_pos": 4}
MANIFEST = "manifest.json"


class DamagedError(ValueError):
    """A file is not what `save` wrote."""


def save(path: str | os.PathLike[str], /, **parts: Any) -> None:
    """Save a training, or whatever is made of arrays and numbers, in one file.

    The new file takes the place of an old one in a single step, once it is whole and on the disk.
    The same parts give the same bytes.

    Parameters
    ----------
    path : str or path
        Where to; the name ends in `.npz` or `.safetensors`. A link is followed.
    **parts : object with `state_dict` and `load_state_dict`, Generator, list of Generators, array, number, str, dict
        What to save, under names of your own: a `lossopt.nn.Module` with its parameters and buffers, a
        `lossopt.Optimizer`, numpy's random generators, and plain values.
        Arrays are of bool, integers or floating-point numbers of 16 to 64 bits.
        A number may be None, a bool, an int or a float; NumPy's scalars are saved as Python's.
        A dict has names for keys, and plain values or dicts for values.

    Raises
    ------
    TypeError, ValueError
        If a part is of another kind, a name holds a slash or cannot be printed, or the format is unknown.
    ImportError
        If the format needs a package that is not installed.
    OSError
        If the file cannot be written. In all these cases the old file is as it was.
    """
    write, _ = _format(path)
    arrays: Arrays = {}
    tree = _described({name: _state(part) for name, part in parts.items()}, arrays)
    manifest = {"version": VERSION, "parts": tree}
    text = json.dumps({**manifest, "sha256": _digest(manifest, arrays)})
    _replace(Path(os.path.realpath(path)), lambda file: write(file, text, arrays))


def load(path: str | os.PathLike[str], /, **parts: Any) -> dict[str, Any]:
    """Fill objects with what was saved of them, and return the rest.

    All of the file is read and checked before anything is changed; if a part does not fit, none is changed.

    Parameters
    ----------
    path : str or path
        What `save` wrote.
    **parts : object with `state_dict` and `load_state_dict`, Generator, list of Generators
        What to fill, under the names by which it was saved.
        A module and an optimizer must be built as they were then; they judge by their own `load_state_dict`.
        In addition, an array must have the dtype here that it has in the file.

    Returns
    -------
    dict
        All other parts: plain values as they were, of objects the dicts that they can be filled with.

    Raises
    ------
    DamagedError
        If the file was cut short, or changed after it was saved, or is not one of these.
    TypeError, ValueError
        If a part is not in the file, does not fit what is in it, or is a plain value, which can only be returned; or
        if the file is of another version.
    ImportError
        If the format needs a package that is not installed.
    OSError
        If the file cannot be read.

    Notes
    -----
    What `Generator.spawn` goes on from is not part of numpy's state: a filled generator spawns as if it had not yet.
    """
    _, read = _format(path)
    tree = _checked(path, read)
    before = {}
    for name, part in parts.items():
        if not _fillable(part):
            raise TypeError(
                f"load: {name} is of type {type(part).__name__}; modules, optimizers and generators can be filled, "
                f"other parts are returned: load(path)[{name!r}]"
            )
        if name not in tree:
            close = difflib.get_close_matches(name, tree, n=1)
            hint = f", did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{path}: there is no {name!r}, it has {', '.join(tree) or 'nothing'}{hint}")
        if not isinstance(tree[name], dict):
            raise ValueError(f"{path}: {name} is a plain value, it cannot fill an object of {type(part).__name__}")
        before[name] = _state(part)
        _check_precision(f"{path}: {name}", before[name], tree[name])
    try:
        for name, part in parts.items():
            try:
                _fill(part, tree[name])
            except (TypeError, ValueError) as error:
                raise type(error)(f"{path}: {name}: {error}") from error
    except BaseException:  # a part that does not fit, or Ctrl-C between two parts
        for name, part in parts.items():
            _fill(part, before[name])
        raise
    return {name: value for name, value in tree.items() if name not in parts}


# Objects -----------------------------------------------------------------------------------------------------------


def _generators(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and bool(part) and all(isinstance(g, np.random.Generator) for g in part)


def _fillable(part: Any) -> bool:
    return isinstance(part, np.random.Generator) or _generators(part) or hasattr(part, "load_state_dict")


def _state(part: Any) -> Any:
    """What a part remembers; a plain value is itself."""
    if isinstance(part, np.random.Generator):
        return part.bit_generator.state
    if _generators(part):
        return {str(k): generator.bit_generator.state for k, generator in enumerate(part)}
    return part.state_dict() if _fillable(part) else part


def _fill(part: Any, state: Mapping[str, Any]) -> None:
    if isinstance(part, np.random.Generator):
        _fill_generator(part, state)
    elif _generators(part):
        if list(state) != [str(k) for k in range(len(part))]:
            raise ValueError(f"there are {len(part)} generators here, and {len(state)} in the file")
        for k, generator in enumerate(part):
            _fill_generator(generator, state[str(k)])
    else:
        part.load_state_dict(state)


def _fill_generator(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    here = generator.bit_generator.state
    if not isinstance(state, dict) or state.get("bit_generator") != here["bit_generator"]:
        saved = state.get("bit_generator") if isinstance(state, dict) else state
        raise ValueError(f"the generator here is a {here['bit_generator']}, the saved one {saved}")
    for inner in (state, state.get("state")):
        for name, end in POSITIONS.items():
            if isinstance(inner, dict) and not 0 <= inner.get(name, 0) <= end:
                raise ValueError(f"{name} must lie in [0, {end}], got {inner[name]}")
    try:
        generator.bit_generator.state = state
    except (KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"this is no state of a {here['bit_generator']}: {error!r}") from error


def _check_precision(what: str, here: Any, saved: Any) -> None:
    """Raise if an array would be filled with one of another dtype, which rounds without a word."""
    if isinstance(here, Mapping) and isinstance(saved, Mapping):
        for name in here:
            if name in saved:
                _check_precision(f"{what}: {name}", here[name], saved[name])
    elif isinstance(here, np.ndarray) and isinstance(saved, np.ndarray) and here.dtype != saved.dtype:
        raise ValueError(f"{what} is {here.dtype} here and {saved.dtype} in the file; convert what is here first")


# Trees -------------------------------------------------------------------------------------------------------------
# A tree is a part as JSON has it: in the place of an array stands a list, its dtype and shape.


def _described(value: Any, arrays: Arrays, path: str = "") -> Any:
    """A value as a tree; its arrays are put into `arrays`, in order, under their full names."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {name: _described(inner, arrays, _under(path, name)) for name, inner in value.items()}
    if type(value) is np.ndarray and value.dtype.name in DTYPES:  # a masked array would lose its mask
        arrays[path] = np.array(value, order="C")
        return [value.dtype.name, list(value.shape)]
    kind = f"array of {value.dtype}" if type(value) is np.ndarray else type(value).__name__
    raise TypeError(
        f"save: {path} is of type {kind}; it must be a number, a str, an array of numbers of up to 64 bits, a dict of "
        "these, a Generator or a list of them, or have state_dict and load_state_dict"
    )


def _under(path: str, name: Any) -> str:
    """The full name of what a dict holds under a name."""
    if not isinstance(name, str):
        raise TypeError(f"save: the keys of {path} must be str, got {name!r}")
    # In a zip file a slash is a folder and NUL the end of a name; on Windows a backslash is a slash.
    if not name or not name.isprintable() or "/" in name or "\\" in name:
        raise ValueError(f"save: a name must be printable and without slashes, got {name!r} in {path or 'the parts'}")
    return f"{path}/{name}" if path else name


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """The descriptions of all arrays in a tree, with the full names of the arrays."""
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from _leaves(inner, _under(path, name))
    elif isinstance(tree, list):
        yield path, tree


def _filled(tree: Any, arrays: Arrays, path: str = "") -> Any:
    """A tree with its arrays in their places."""
    if isinstance(tree, dict):
        return {name: _filled(inner, arrays, _under(path, name)) for name, inner in tree.items()}
    return arrays[path] if isinstance(tree, list) else tree


def _digest(manifest: dict[str, Any], arrays: Arrays) -> str:
    # The manifest says where each array ends, so that no byte can pass from one to the next unnoticed.
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode())
    for _, array in sorted(arrays.items()):
        digest.update(np.asarray(array, array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


# Files -------------------------------------------------------------------------------------------------------------


def _replace(target: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Put a new file in the place of another, so that at every moment one of the two is there, whole."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # else the name could reach the disk before the contents do
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":  # there a folder cannot be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _checked(path: str | os.PathLike[str], read: Callable[[IO[bytes]], tuple[str | None, Arrays]]) -> dict[str, Any]:
    """All parts of a file, if it is what was saved."""
    with open(path, "rb") as file:
        try:
            text, arrays = read(file)
            version, tree = (None, {}) if text is None else _verified(text, arrays)
        except _DAMAGE as error:
            reason = str(error) or type(error).__name__
            raise DamagedError(f"{path} was cut short or changed after it was saved: {reason}") from error
    if text is None:
        raise DamagedError(f"{path} is not from lossopt.checkpoint.save: it has no {MANIFEST}")
    if version != VERSION:
        raise ValueError(f"{path} is of version {version}, and this lossopt reads version {VERSION}")
    return tree


def _verified(text: str, arrays: Arrays) -> tuple[Any, dict[str, Any]]:
    """The version of a file and, if that can be read here, its parts."""
    manifest = json.loads(text)
    if not {"version", "parts", "sha256"} <= set(manifest):
        raise ValueError("its manifest is not whole")
    if manifest["version"] != VERSION:
        return manifest["version"], {}
    saved = manifest.pop("sha256")
    described = dict(_leaves(manifest["parts"]))
    found = {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()}
    if described != found or _digest(manifest, arrays) != saved:
        raise ValueError("its SHA-256 is not that of its contents")
    return VERSION, dict(_filled(manifest["parts"], arrays))


# What the readers below and `_verified` raise at bytes that nobody wrote.
_DAMAGE = (EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile)


def _write_npz(file: IO[bytes], text: str, arrays: Arrays) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST), text)  # of 1980: the same parts give the same bytes
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def _read_npz(file: IO[bytes]) -> tuple[str | None, Arrays]:
    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if MANIFEST not in members:
            return None, {}
        if any(info.compress_type or info.compress_size != info.file_size for info in archive.infolist()):
            raise ValueError("it is packed, and save packs nothing")
        if sum(info.file_size for info in archive.infolist()) > size:  # else zipfile would ask for that much memory
            raise ValueError("what it is said to hold is larger than the file")
        contents = {name: archive.read(info) for name, info in members.items()}
    text = contents.pop(MANIFEST).decode()
    return text, {name.removesuffix(".npy"): _array(content) for name, content in contents.items()}


# As numpy has always written it. Its own reader also evaluates and mends what it finds, which is more than is needed.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>|][biuf]\d)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n",
    re.DOTALL,
)


def _array(content: bytes) -> Array:
    """The array in the bytes of a .npy file, whose header cannot make it larger than these bytes."""
    header = _HEADER.match(content)
    if header is None:
        raise ValueError("it holds an array that save does not write")
    dtype, shape = np.dtype(header[1].decode()), [int(number) for number in header[2].split(b",") if number.strip()]
    return np.array(np.ndarray(shape, dtype, content, header.end()), dtype=dtype.newbyteorder("="))


def _write_safetensors(file: IO[bytes], text: str, arrays: Arrays) -> None:
    if "__metadata__" in arrays:
        raise ValueError("save: safetensors keeps the name __metadata__ for itself")
    file.write(_safetensors().numpy.save(arrays, metadata={MANIFEST: text}))


def _read_safetensors(file: IO[bytes]) -> tuple[str | None, Arrays]:
    library = _safetensors()
    try:
        with library.safe_open(file.name, framework="numpy") as tensors:
            metadata, names = tensors.metadata() or {}, tensors.keys()
            if MANIFEST not in metadata:
                return None, {}
            return metadata[MANIFEST], {name: tensors.get_tensor(name) for name in names}
    except library.SafetensorError as error:
        raise ValueError(str(error)) from error


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError('.safetensors needs safetensors: pip install "lossopt[safetensors]"') from None
    return safetensors


def _format(path: str | os.PathLike[str]) -> tuple[Callable[..., None], Callable[..., tuple[str | None, Arrays]]]:
    suffix = Path(path).suffix
    if suffix == ".npz":
        return _write_npz, _read_npz
    if suffix == ".safetensors":
        _safetensors()
        return _write_safetensors, _read_safetensors
    raise ValueError(f"{path}: the name of a checkpoint must end in .npz or .safetensors")
