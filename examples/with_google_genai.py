"""Google's SDK: a plain answer, a stream, and a function that the SDK calls.

pip install google-genai
"""

import os

from google import genai

client = genai.Client(
    api_key=os.environ.get("AIONE_API_KEY", "sk-nex-demo-every-model"),
    # the API version is part of the path; it must be given if the base URL is not Google's
    http_options={"base_url": os.environ.get("AIONE_URL", "http://127.0.0.1:8000"), "api_version": "v1beta"},
)
model = "gemini-2.5-flash"

answer = client.models.generate_content(model=model, contents="Why do cats purr?")
print(answer.text)
print(answer.usage_metadata)

for chunk in client.models.generate_content_stream(model=model, contents="用一句话介绍一下你自己。"):
    print(chunk.text or "", end="", flush=True)
print()


def get_weather(city: str) -> str:
    """Return the current weather of a city."""
    return f"{city}: sunny, 23 °C"


question = "What is the weather in Hangzhou?"
print(client.models.generate_content(model=model, contents=question, config={"tools": [get_weather]}).text)
