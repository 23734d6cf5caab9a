"""The folder in which processes share their metrics.

prometheus-client reads the variable that names it when it is imported, so this module does not import it.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator

from aione_mock.settings import override_variable, read_variable

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client finds the folder."""


@contextlib.contextmanager
def share_metrics() -> Iterator[None]:
    """Let the processes that are started inside the block share their metrics, in a folder that is then deleted.

    It has to begin before prometheus-client is imported in those processes.
    """
    if read_variable(FOLDER) is not None:
        yield
        return
    folder = tempfile.mkdtemp(prefix="aione-mock-metrics-")
    try:
        with override_variable(FOLDER, folder):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
