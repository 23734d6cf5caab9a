"""Build the page with the package. Without network or Node the package is built without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Run scripts/build_page.py before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page unless it is up to date."""
        script = Path(self.root, "scripts", "build_page.py")
        subprocess.run([sys.executable, str(script), "--optional"], check=True)
