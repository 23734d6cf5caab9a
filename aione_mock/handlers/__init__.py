"""The table of handlers: operationId to the function that answers it.

An operation that is not here is answered from its schema. `app` checks the table against the contract at start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aione_mock.exchange import Call, Reply, StreamReply
from aione_mock.handlers import billing, chat, keys, models, observation, usage, windows
from aione_mock.sessions import Session
from aione_mock.validation import Finding

Handler = Callable[[Call, Session], Awaitable[Reply | StreamReply]]
Check = Callable[[Call, Session], Iterable[Finding]]

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
    "ModelRouterQueryObservationCharts": observation.query_charts,
    "ModelRouterQueryObservationMetrics": observation.query_metrics,
    "ModelRouterQueryObservationLogs": observation.query_logs,
}

CHECKS: dict[str, Check] = {
    "createKey": keys.check_create,
    "queryUsage": usage.check_usage,
    "ModelRouterQueryObservationCharts": windows.check,
    "ModelRouterQueryObservationMetrics": windows.check,
    "ModelRouterQueryObservationLogs": observation.check_logs,
}
"""What the schemas of an operation cannot say about a request: rules between values, and against the clock.

A check sees the parameters that its schemas passed, and a body that they may not have passed.
"""
