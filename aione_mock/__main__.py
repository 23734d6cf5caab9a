"""`python -m aione_mock` is `aione-mock`."""

from __future__ import annotations

import sys

from aione_mock.cli import main

if __name__ == "__main__":
    sys.exit(main())
