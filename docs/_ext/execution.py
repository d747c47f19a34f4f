"""Execute every page that is about to be read, several at a time, before Sphinx reads any of them.

The outputs go to the cache that myst-nb looks in, so both editions share them and the code runs once.
Kernels talk over sockets in a temporary folder: parallel kernels then have no network port to race for.
A page that fails, or takes more than `execution_page_seconds` of processor time, is named with its error,
and the build stops.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from . import notebooks

logger = logging.getLogger(__name__)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Run:
    """One page: its notebook, and once executed its seconds of processor time and what went wrong, if anything."""

    docname: str
    notebook: NotebookNode
    seconds: float = 0.0
    error: str = ""


def kernel_environment(folder: Path) -> dict[str, str]:
    """The environment of every kernel: our settings, one thread and no random hashes, so that outputs are reproducible.

    IPython writes into its configuration folder, so it is given a copy.
    Figures have the package's style from the start, so that pages need not ask for it.
    """
    shutil.copytree(notebooks.KERNEL, folder, dirs_exist_ok=True)
    return {
        **os.environ,
        "IPYTHONDIR": str(folder),
        "MATPLOTLIBRC": str(notebooks.package_folder() / "lossopt.mplstyle"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",  # on a busy machine a long descent would print its progress into the page
    }


async def execute(run: Run, limit: float, environment: dict[str, str]) -> None:
    """Run the cells of one page in a kernel of its own, in an empty folder, so that it works wherever it is copied."""
    with TemporaryDirectory() as folder:
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/kernel")
        # A page that is merely slow is reported with its seconds; a cell that hangs is stopped.
        client = NotebookClient(run.notebook, km=manager, timeout=300, record_timing=False)
        client.on_cell_executed = lambda **_cell: count_seconds(run, manager)
        client.resources = {"metadata": {"path": folder}}
        try:
            await client.async_execute(env=environment, cleanup_kc=True)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            run.error = "\n".join(ANSI.sub("", str(error)).strip().splitlines()[-15:])
        finally:
            await manager.shutdown_kernel(now=True)
    join_streams(run.notebook)
    if run.seconds > limit:
        run.error = f"took {run.seconds:.1f} s of processor time, more than the {limit:g} s a page may take"


def join_streams(notebook: NotebookNode) -> None:
    """Make one output of what was printed in a row: kernels may send a line in pieces, and myst-nb ends each piece."""
    for cell in notebook.cells:
        joined: list[NotebookNode] = []
        for output in cell.get("outputs", []):
            before = joined[-1] if joined else {}
            if output.output_type == "stream" and output.name == before.get("name"):
                before["text"] += output.text
            else:
                joined.append(output)
        if joined:
            cell.outputs = joined


def count_seconds(run: Run, manager: AsyncKernelManager) -> None:
    """Note the processor time of a kernel so far; unlike the clock it is the same on a busy machine."""
    times = psutil.Process(manager.provisioner.pid).cpu_times()
    run.seconds = times.user + times.system


async def execute_all(runs: list[Run], at_once: int, limit: float, environment: dict[str, str]) -> None:
    """Execute `runs`, `at_once` at a time."""
    free = asyncio.Semaphore(at_once)

    async def one(run: Run) -> None:
        async with free:
            await execute(run, limit, environment)
            logger.info("executed %s in %.1f s of processor time", run.docname, run.seconds)

    await asyncio.gather(*map(one, runs))


def before_reading(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Bring the cache up to date with the pages Sphinx is about to read."""
    cache = get_cache(env.mystnb_config.execution_cache_path)  # type: ignore[attr-defined]
    runs = []
    for docname in docnames:
        notebook = notebooks.read(env, docname)
        if notebook is not None and notebooks.executed(env, docname) is None:
            runs.append(Run(docname, notebook))
    environment = kernel_environment(Path(cache.path) / "ipython")
    asyncio.run(execute_all(runs, app.config.execution_at_once, app.config.execution_page_seconds, environment))
    failed = [run for run in runs if run.error]
    for run in runs:
        if not run.error:
            bundle = CacheBundleIn(
                run.notebook, str(env.doc2path(run.docname)), data={"execution_seconds": run.seconds}
            )
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    for run in failed:
        logger.error("execution failed:\n%s", run.error, location=run.docname)
    if failed:
        # Not an exception of Sphinx's: it would ask the reader to report a bug in Sphinx.
        raise SystemExit(
            f"{len(failed)} of {len(runs)} executed pages failed: {', '.join(run.docname for run in failed)}"
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("execution_at_once", os.cpu_count() or 1, "")
    # A page may take 20 s on a quiet machine; on a busy one the same work takes up to three times as much.
    app.add_config_value("execution_page_seconds", 60.0, "", types=(float, int))
    app.connect("env-before-read-docs", before_reading)
    return {"parallel_read_safe": True}
