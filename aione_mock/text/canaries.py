"""Words by which a question and its answer are recognized on both sides of a gateway.

A question carries a mark, the answer to it a canary. The mock knows which canary it gave to which mark, so that an
answer that comes back to another question is found out.
"""

from __future__ import annotations

import re
from hashlib import blake2b

MARK = re.compile(r"\bask-[0-9a-f]{8}-\d+\b")
CANARY = re.compile(r"\bcanary-[0-9a-f]{16}\b")


def make_mark(run: str, number: int) -> str:
    """Return the mark of a question; `run` has eight hexadecimal digits."""
    return f"ask-{run}-{number}"


def make_canary(token: str) -> str:
    """Return the canary of a call; `token` is unique to it."""
    return f"canary-{blake2b(token.encode(), digest_size=8).hexdigest()}"
