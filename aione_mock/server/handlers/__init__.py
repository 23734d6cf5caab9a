"""The table of handlers: operationId to the function that answers it.

Operations without a handler are answered from their schema. `app` checks the table against the contract at start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aione_mock.contract.validation import Violation
from aione_mock.server.handlers import billing, chat, keys, models, observability, observation_query, usage
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply, StreamReply

Handler = Callable[[Call, Session], Awaitable[Reply | StreamReply]]
Check = Callable[[Call, Session], Iterable[Violation]]

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
    "listKeys": keys.list_keys,
    "createKey": keys.create_key,
    "getKey": keys.get_key,
    "updateKey": keys.update_key,
    "deleteKey": keys.delete_key,
    "rotateKey": keys.rotate_key,
    "disableKey": keys.disable_key,
    "enableKey": keys.enable_key,
    "listGatewayModels": models.list_gateway_models,
    "queryUsage": usage.query_usage,
    "getDashboard": usage.get_dashboard,
    "getPlan": billing.get_plan,
    "getBillingAccount": billing.get_billing_account,
    "listInvoices": billing.list_invoices,
    "ModelRouterQueryObservationCharts": observability.query_charts,
    "ModelRouterQueryObservationMetrics": observability.query_metrics,
    "ModelRouterQueryObservationLogs": observability.query_logs,
}


def load_extension_handlers(extensions: Iterable[str]) -> dict[str, Handler]:
    """Return the handlers of the operations that some extensions add."""
    handlers: dict[str, Handler] = {}
    if "embeddings" in extensions:
        from aione_mock.server.handlers import embeddings

        handlers |= {
            "createEmbedding": embeddings.create_embedding,
            "embedContent": embeddings.embed_content,
            "batchEmbedContents": embeddings.batch_embed_contents,
        }
    if "responses" in extensions:
        from aione_mock.server.handlers import responses

        handlers |= {
            "createResponse": responses.create_response,
            "retrieveResponse": responses.retrieve_response,
            "deleteResponse": responses.delete_response,
            "listResponseInputItems": responses.list_input_items,
        }
    return handlers


CHECKS: dict[str, Check] = {
    "createKey": keys.check_expiry,
    "queryUsage": usage.check_days,
    "ModelRouterQueryObservationCharts": observation_query.check_query,
    "ModelRouterQueryObservationMetrics": observation_query.check_query,
    "ModelRouterQueryObservationLogs": observability.check_logs,
}
"""Rules that the schemas of an operation cannot express: between values, and against the clock.

A check receives the parameters that are valid by their schemas, and a body that may not be.
"""
