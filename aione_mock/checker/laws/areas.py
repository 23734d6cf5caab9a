"""Groups of operations that laws are about."""

from __future__ import annotations

PLAIN = ("createChatCompletion", "createMessage", "generateContent")
"""Answer at once."""
STREAMED = ("createChatCompletion", "createMessage", "streamGenerateContent")
"""Answer as a stream."""
CHAT = (*PLAIN, "streamGenerateContent")
LISTS = ("listModels", "retrieveModel", "listGeminiModels", "getGeminiModel")
COUNTS = ("countMessageTokens", "countTokens")
DATA = (*CHAT, *LISTS, *COUNTS)
"""The data plane."""
ONE_KEY = ("getKey", "updateKey", "deleteKey", "rotateKey", "disableKey", "enableKey")
KEYS = ("listKeys", "createKey", *ONE_KEY)
FIGURES = ("queryUsage", "getDashboard")
BILLING = ("getPlan", "getBillingAccount", "listInvoices")
CONSOLE = (*KEYS, "listGatewayModels", *FIGURES, *BILLING)
"""The control plane."""
CHARTS = "ModelRouterQueryObservationCharts"
METRICS = "ModelRouterQueryObservationMetrics"
LOGS = "ModelRouterQueryObservationLogs"
ROUTER = (CHARTS, METRICS, LOGS)
EVERY = (*DATA, *CONSOLE, *ROUTER)
