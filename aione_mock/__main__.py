"""`python -m aione_mock` is `aione-mock`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command of this process and return its exit code. Ctrl-C may come while its modules are imported."""
    try:
        from aione_mock.cli import main as run_command

        return run_command()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
