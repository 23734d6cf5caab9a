"""Is a client resilient? Trials to put it through, and verdicts on what it did.

run          what a client did, and what is its measure
trials       misfortunes, spelled as rules
judges       what may be wrong with a run, and what to change
examination  a client put through the trials
report       all verdicts on a client, as a table

Who runs the client, and how, is not decided here.
"""

from __future__ import annotations

from aione_mock.testing.resilience.checks import VERDICTS
from aione_mock.testing.resilience.examination import examine
from aione_mock.testing.resilience.faults import TRIALS, Rules
from aione_mock.testing.resilience.observation import Run, Setting
from aione_mock.testing.resilience.report import Finding, Report

__all__ = ["TRIALS", "VERDICTS", "Finding", "Report", "Rules", "Run", "Setting", "examine"]
