"""Ask a mock with `instructor`, in an environment of its own: it cannot be installed beside the newest `openai`.

A request is a line of JSON on standard input, its result a line on standard output; many may be open at a time.
`InstructorWorker` in `sdk_clients.py` is the other end.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import instructor
import openai
from pydantic import BaseModel, ConfigDict


class Trip(BaseModel):
    """Plan a trip."""

    model_config = ConfigDict(extra="forbid")
    city: str
    days: int


def ask(job: dict[str, Any]) -> dict[str, Any]:
    """Return what the client returns or raises. The mode is `json` or `tools`."""
    options = {} if job["retries"] is None else {"max_retries": job["retries"]}
    with openai.OpenAI(
        base_url=f"{job['url']}/v1",
        api_key=job["key"],
        timeout=job["timeout"],
        default_headers=job["headers"],
        http_client=openai.DefaultHttpxClient(verify=False),
        **options,
    ) as client:
        mode = instructor.Mode.JSON_SCHEMA if job["mode"] == "json" else instructor.Mode.TOOLS
        completions = instructor.from_openai(client, mode=mode).chat.completions
        request = {
            "model": "gpt-5.4",
            "messages": [{"role": "user", "content": job["question"]}],
            "response_model": Trip,
            "max_retries": job["asks"],
            **job["more"],
        }
        partial = None
        try:
            if not job["stream"]:
                return {"value": completions.create(**request).model_dump()}
            for found in completions.create_partial(**request):
                partial = found
        except Exception as error:
            given = partial.model_dump() if partial else None
            return {"error": f"{type(error).__module__.partition('.')[0]}.{type(error).__name__}", "partial": given}
        return {"value": partial.model_dump() if partial else None}


def main() -> None:
    """Answer lines until there are no more."""
    lock = Lock()

    def answer(line: str) -> None:
        job = json.loads(line)
        result = ask(job)
        with lock:
            print(json.dumps({"id": job["id"], **result}), flush=True)

    with ThreadPoolExecutor(16) as pool:
        for line in sys.stdin:
            pool.submit(answer, line)


if __name__ == "__main__":
    main()
