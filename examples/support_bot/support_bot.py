"""A small support bot for a shop: it looks up orders, starts refunds, and streams its answers.

    python support_bot.py "Where is order 4711?"

It reads the gateway from OPENAI_BASE_URL and OPENAI_API_KEY, as OpenAI's SDK does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import openai

INSTRUCTIONS = "You are the support desk of a bicycle shop. Be brief. Look up an order before you talk about it."
ROUNDS = 5
"""How often the model may call tools before it must answer."""


class Unfinished(Exception):
    """The answer ended early; the part that arrived is not the complete answer."""


@dataclass
class Shop:
    """Orders by number, and the refunds that were started."""

    orders: dict[int, str] = field(default_factory=dict)
    refunds: list[int] = field(default_factory=list)

    def find_order(self, number: int) -> dict[str, Any]:
        """Return the status of an order."""
        return {"number": number, "status": self.orders.get(number, "unknown")}

    def start_refund(self, number: int) -> dict[str, Any]:
        """Start a refund for an order that exists."""
        if number not in self.orders:
            return {"number": number, "refund": "refused", "reason": "no such order"}
        self.refunds.append(number)
        return {"number": number, "refund": "started"}


def _tool(name: str, description: str) -> Any:
    schema = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TOOLS = [
    _tool("find_order", "Find an order by its number."),
    _tool("start_refund", "Start the refund of an order by its number."),
]


class SupportBot:
    """Answer one question at a time. Retries and timeouts are settings of the client, see `client`."""

    def __init__(self, client: openai.OpenAI, shop: Shop, model: str = "gpt-5.4") -> None:
        self.client, self.model = client, model
        self.tools: dict[str, Callable[[int], dict[str, Any]]] = {
            "find_order": shop.find_order,
            "start_refund": shop.start_refund,
        }

    def answer(self, question: str) -> Iterator[str]:
        """Yield the answer in pieces. Raises Unfinished, or what the SDK raises."""
        messages: list[Any] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": question},
        ]
        for _ in range(ROUNDS):
            calls: dict[int, Any] = {}
            yield from self._round(messages, calls)
            if not calls:
                return
            wanted = [calls[index] for index in sorted(calls)]
            messages.append({"role": "assistant", "content": None, "tool_calls": wanted})
            messages += [self._run(call) for call in wanted]
        raise Unfinished("the model keeps calling tools")

    def _round(self, messages: list[Any], calls: dict[int, Any]) -> Iterator[str]:
        """Yield the text of one answer, and collect its tool calls in `calls`."""
        finish = None
        stream = self.client.chat.completions.create(
            model=self.model, messages=messages, tools=TOOLS, stream=True
        )  # fmt: skip
        for chunk in stream:
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                for part in choice.delta.tool_calls or ():
                    _collect(calls, part)
                if choice.delta.content:
                    yield choice.delta.content
        if finish not in ("stop", "tool_calls"):
            raise Unfinished(f"finish reason: {finish}")

    def _run(self, call: Any) -> dict[str, Any]:
        tool = self.tools[call["function"]["name"]]
        result = tool(**json.loads(call["function"]["arguments"]))
        return {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}


def _collect(calls: dict[int, Any], part: Any) -> None:
    """Merge a part of a tool call: the first part has id and name, the others have more of the arguments."""
    call = calls.setdefault(part.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call["id"] = part.id or call["id"]
    call["function"]["name"] += part.function.name or ""
    call["function"]["arguments"] += part.function.arguments or ""


def client(**options: Any) -> openai.OpenAI:
    """Return the bot's client: two retries, a timeout of twenty seconds."""
    return openai.OpenAI(**{"max_retries": 2, "timeout": 20.0, **options})


def main() -> int:
    """Answer the question given on the command line."""
    shop = Shop({4711: "on its way", 4712: "in the workshop"})
    try:
        for piece in SupportBot(client(), shop).answer(" ".join(sys.argv[1:]) or "Where is order 4711?"):
            print(piece, end="", flush=True)
    except (Unfinished, openai.OpenAIError) as error:
        print(f"\nSorry, please ask again later. ({type(error).__name__})", file=sys.stderr)
        return 1
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
