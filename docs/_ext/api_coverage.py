"""The API reference: `{api}` writes the entries of a module's public names, and the build fails when one has no entry.

Public names are found: the modules of the package,
and in each what `__all__` names, or else what is defined there without an underscore.
"""

from __future__ import annotations

import inspect
import pkgutil
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


def modules(package: str) -> Iterator[ModuleType]:
    """The package and its public modules."""
    root = import_module(package)
    yield root
    for info in pkgutil.walk_packages(root.__path__, package + "."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            yield import_module(info.name)


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: the names in its `__all__`, or else what is its own and has no underscore."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name, None))]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and is_own(module.__name__, name, value)
    ]


def is_own(module: str, name: str, value: object) -> bool:
    """Whether a value is a module's own function or class, an instance of its own class, or a registry."""
    if isinstance(value, Mapping):
        return name.isupper()
    home = value.__module__ if inspect.isfunction(value) or inspect.isclass(value) else type(value).__module__
    return home == module or home.startswith(module + ".")


def canonical(module: str, name: str) -> str:
    """One name for an object however it is reached: where it was defined, or for a value which one it is."""
    value = getattr(import_module(module), name, None)
    if inspect.isfunction(value) or inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    return f"{name} {id(value)}"


def undocumented(package: str, documented: set[str]) -> list[str]:
    """The public names of the package that are not among the documented objects, each by its shortest name."""
    known = {canonical(*name.rsplit(".", 1)) for name in documented if is_module(name.rpartition(".")[0])}
    missing: dict[str, str] = {}
    for module in modules(package):
        for name in public_names(module):
            home, here = canonical(module.__name__, name), f"{module.__name__}.{name}"
            if home not in known:
                missing[home] = min(missing.get(home, here), here, key=len)
    return sorted(missing.values())


def is_module(name: str) -> bool:
    try:
        return bool(name and import_module(name))
    except ImportError:
        return False


def before_reading(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Check the names when the page that enters them is read anew, which any change of the package brings about.

    One edition is enough, and the check imports every module.
    """
    if app.config.api_page in docnames and app.builder.format == "html" and app.config.language == "en":
        app.connect("env-check-consistency", check)


def check(app: Sphinx, env: BuildEnvironment) -> None:
    page = app.config.api_page
    for name in undocumented(app.config.api_package, set(env.get_domain("py").objects)):  # type: ignore[attr-defined]
        logger.warning("%s is public and has no entry in the API reference", name, location=page)


class Api(SphinxDirective):
    """`{api} lossopt.rules`: the entry of every public name of a module, in the order of its source.

    What an earlier `{api}` of the page has entered under another name is not entered again.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        entered: set[str] = self.env.temp_data.get("api") or set()
        self.env.temp_data["api"] = entered
        entries = []
        if not is_module(module):
            raise self.error(f"api: there is no module {module}")
        for name in public_names(import_module(module)):
            home = canonical(module, name)
            if home not in entered:
                entered.add(home)
                entries.append(entry(module, name))
        return self.parse_text_to_nodes("```{eval-rst}\n" + "\n\n".join(entries) + "\n```")


def entry(module: str, name: str) -> str:
    """The autodoc directive of a name."""
    value = getattr(import_module(module), name)
    if inspect.isclass(value):
        return f".. auto{'exception' if issubclass(value, BaseException) else 'class'}:: {module}.{name}"
    if inspect.isroutine(value):
        return f".. autofunction:: {module}.{name}"
    return f".. py:data:: {module}.{name}\n\n" + textwrap.indent(description(value), "   ")


def description(value: object) -> str:
    """What the reference says of a value: the names in a registry, the words of our own object, or the value itself."""
    if isinstance(value, Mapping):
        return "A mapping with the keys " + ", ".join(f"``{key}``" for key in value) + "."
    if type(value).__module__.startswith("lossopt."):
        return inspect.getdoc(value) or ""
    return f"``{value!r}``"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("api_package", "lossopt", "env")
    app.add_config_value("api_page", "reference/api", "env")
    app.add_directive("api", Api)
    app.connect("env-before-read-docs", before_reading)
    return {"parallel_read_safe": True}
