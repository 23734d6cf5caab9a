"""Read the values of a call that rules can match."""

from __future__ import annotations

from aione_mock import protocols
from aione_mock.model.tools import list_offered
from aione_mock.scenarios.awkward import Need
from aione_mock.scenarios.conditions import MatchContext
from aione_mock.server.sessions import Session
from aione_mock.types import Call, ImageInput, Prompt


def make_match_context(call: Call, session: Session, call_id: str, *, valid: bool = True) -> MatchContext:
    """Return the values that rules can match; `call_id` identifies the call. An invalid call has no prompt."""
    label = call.caller.label if call.caller else None
    prompt = _read_prompt(call) if valid else None
    turns = prompt.turns if prompt else ()
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
    return MatchContext(
        operation_id=call.operation.id,
        seed=session.seed,
        call=call_id,
        model=prompt.model if prompt else read_model(call),
        key_id=call.caller.key_id if call.caller else None,
        key_label=None if label is None else label.rpartition(" (")[0] or label,
        key_prefix=None if label is None else label.rpartition("(")[2].removesuffix("...)"),
        team_id=call.caller.team_id if call.caller else None,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers},
        last_user=turns[last].text if last >= 0 else "",
        tools=tuple(tool.name for tool in prompt.tools) if prompt else (),
        tool_results=tuple(result.name for turn in turns[last + 1 :] for result in turn.results),
        features=_list_features(prompt) if prompt else frozenset(),
        stream=asks_for_stream(call),
        body=call.data,
    )


def asks_for_stream(call: Call) -> bool:
    """Return whether a call asks for a stream of events."""
    if call.operation.stream is None:
        return False
    if "alt" in {parameter.name for parameter in call.operation.parameters}:
        return bool(call.params.get("alt") == "sse")
    return bool(isinstance(call.data, dict) and call.data.get("stream"))


def read_model(call: Call) -> str | None:
    """Return the model named in the path or the body of a call."""
    model = call.params.get("model") or (call.data.get("model") if isinstance(call.data, dict) else None)
    return model if isinstance(model, str) else None


def _read_prompt(call: Call) -> Prompt | None:
    reader = protocols.PROMPT_READERS.get(call.operation.prompt_format)
    return reader(call, _skip_image) if reader else None


def _list_features(prompt: Prompt) -> frozenset[Need]:
    found: set[Need] = {"schema"} if prompt.schema is not None else set()
    found |= {"thinking"} if prompt.reasoning else set()
    # a forced tool that is not among the tools is refused later
    forced = prompt.tool_choice.startswith("=")
    if prompt.tools and prompt.tool_choice != "none" and (forced or list_offered(prompt)):
        found.add("tools")
    return frozenset(found)


def _skip_image(uri: str, param: str) -> ImageInput:
    # rules cannot match images, so none is decoded
    return ImageInput("", 0, 0, "")
