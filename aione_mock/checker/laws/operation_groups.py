"""Groups of operations that laws are about."""

from __future__ import annotations

PLAIN_CHAT = ("createChatCompletion", "createMessage", "generateContent")
STREAMED_CHAT = ("createChatCompletion", "createMessage", "streamGenerateContent")
CHAT = (*PLAIN_CHAT, "streamGenerateContent")
MODEL_LISTS = ("listModels", "retrieveModel", "listGeminiModels", "getGeminiModel")
TOKEN_COUNTS = ("countMessageTokens", "countTokens")
EMBEDDINGS = ("createEmbedding", "embedContent", "batchEmbedContents")
"""Operations of the extension `embeddings`."""
RESPONSES = ("createResponse", "retrieveResponse", "deleteResponse", "listResponseInputItems")
"""Operations of the extension `responses`."""
DATA_PLANE = (*CHAT, *MODEL_LISTS, *TOKEN_COUNTS)
ONE_KEY = ("getKey", "updateKey", "rotateKey", "disableKey", "enableKey", "deleteKey")
KEYS = ("listKeys", "createKey", *ONE_KEY)
USAGE = ("queryUsage", "getDashboard")
BILLING = ("getPlan", "getBillingAccount", "listInvoices")
CONSOLE = (*KEYS, "listGatewayModels", *USAGE, *BILLING)
CHARTS = "ModelRouterQueryObservationCharts"
METRICS = "ModelRouterQueryObservationMetrics"
LOGS = "ModelRouterQueryObservationLogs"
MODELROUTER = (CHARTS, METRICS, LOGS)
READS = (*MODEL_LISTS, "listKeys", "getKey", "listGatewayModels", *USAGE, *BILLING, *MODELROUTER)
"""Operations that only read."""
ALL_OPERATIONS = (*DATA_PLANE, *CONSOLE, *MODELROUTER)
