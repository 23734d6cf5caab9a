"""Watch the files behind a server, and apply their changes while it serves.

Models, organisations, rules and overlays change at once, in every session. Other settings need a restart, and a change
of them is reported. A file that becomes invalid is reported at once, and what was last valid stays in force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aione_mock.contract import Contract
from aione_mock.errors import MockError
from aione_mock.scenarios.rule_files import Stamp, read_stamp
from aione_mock.server.scenario_engine import FILES_LOG
from aione_mock.settings import Settings
from aione_mock.tenant.world import World

if TYPE_CHECKING:
    from aione_mock.server.app import Mock

_INTERVAL_SECONDS = 0.3
_LIVE = ("models", "world", "overlays", "scenarios")
"""Settings whose changes take effect while serving."""
_FIXED = tuple(name for name in Settings.model_fields if name not in (*_LIVE, "config"))
_log = logging.getLogger(FILES_LOG)


def keep_fixed(settings: Settings, old: Settings) -> Settings:
    """Return new settings with those of the start that cannot change while serving."""
    return settings.model_copy(update={name: getattr(old, name) for name in _FIXED})


class FileWatcher:
    """Apply changes of files to a running mock."""

    def __init__(self, mock: Mock, read_settings: Callable[[], Settings]) -> None:
        """`read_settings` reads the settings again, from the same options as at the start."""
        self._mock, self._read_settings = mock, read_settings
        self._settings = mock.pipeline.settings
        self._stamps = self._read_stamps()
        self._waiting = False
        """Whether a change waits until a scenario file is valid again."""

    @property
    def paths(self) -> list[Path]:
        """The files whose changes are applied here; rules of scenario files are reloaded by the scenario engine."""
        given = self._settings
        named = [Path(value) for value in (given.models, given.world) if isinstance(value, str)]
        return [*([given.config] if given.config else []), *named, *given.overlays]

    async def run(self) -> None:
        """Look at the files again and again."""
        while self.paths or self._settings.scenarios:
            await asyncio.sleep(_INTERVAL_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Apply what has changed since the last time. Errors are logged, one line each."""
        self._mock.pipeline.scenarios.reload_rules()
        stamps, reported = self._read_stamps(), self._mock.pipeline.scenarios.rule_files.errors
        if stamps == self._stamps and (reported or not self._waiting):
            return
        self._stamps, self._waiting = stamps, False
        try:
            settings, world, contract = await asyncio.to_thread(self._load)
            self._apply(settings, world, contract)
        except MockError as error:
            lines = [line for line in str(error).splitlines() if line not in reported]
            self._waiting = not lines
            for line in lines:
                _log.warning("%s (the last valid configuration stays in force)", line)

    def _read_stamps(self) -> dict[Path, Stamp]:
        return {path: read_stamp(path) for path in self.paths}

    def _load(self) -> tuple[Settings, World, Contract]:
        from aione_mock.server.app import load_served_contract

        settings = self._read_settings()
        self._report_fixed(settings)
        settings = keep_fixed(settings, self._settings)
        return settings, World.load(settings), load_served_contract(settings)

    def _report_fixed(self, settings: Settings) -> None:
        """Log which settings have changed that cannot change while serving."""
        for name in _FIXED:
            if getattr(settings, name) != getattr(self._settings, name):
                _log.warning("%s: '%s' has changed; restart the mock to use it", settings.get_origin(name), name)

    def _apply(self, settings: Settings, world: World, contract: Contract) -> None:
        self._mock.change_settings(settings, world, contract)
        self._settings = settings
        # a file may have changed again while it was read
        self._stamps = {path: self._stamps.get(path) or read_stamp(path) for path in self.paths}
        _log.info("the configuration has changed and is in force")
