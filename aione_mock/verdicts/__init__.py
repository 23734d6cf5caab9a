"""Is a client resilient? Trials to put it through, and verdicts on what it did.

run          what a client did, and what is its measure
trials       misfortunes, spelled as rules
judges       what may be wrong with a run, and what to change
examination  a client put through the trials
report       all verdicts on a client, as a table

Who runs the client, and how, is not decided here.
"""

from __future__ import annotations

from aione_mock.verdicts.examination import examine
from aione_mock.verdicts.judges import VERDICTS
from aione_mock.verdicts.report import Finding, Report
from aione_mock.verdicts.run import Run, Setting
from aione_mock.verdicts.trials import TRIALS, Rules

__all__ = ["TRIALS", "VERDICTS", "Finding", "Report", "Rules", "Run", "Setting", "examine"]
