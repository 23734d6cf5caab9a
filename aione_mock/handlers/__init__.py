"""The table of handlers: operationId to the function that answers it.

An operation that is not here is answered from its schema. `app` checks the table against the contract at start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aione_mock.exchange import Call, Reply, StreamReply
from aione_mock.handlers import chat, models
from aione_mock.sessions import Session

Handler = Callable[[Call, Session], Awaitable[Reply | StreamReply]]

HANDLERS: dict[str, Handler] = {
    "createChatCompletion": chat.create_chat_completion,
    "listModels": models.list_models,
    "retrieveModel": models.retrieve_model,
    "createMessage": chat.create_message,
    "countMessageTokens": chat.count_message_tokens,
    "generateContent": chat.generate_content,
    "streamGenerateContent": chat.stream_generate_content,
    "countTokens": chat.count_tokens,
    "listGeminiModels": models.list_gemini_models,
    "getGeminiModel": models.get_gemini_model,
}
