"""Anthropic's SDK: a plain answer, a stream, and a tool that the SDK runs.

pip install anthropic
"""

import os

from anthropic import Anthropic, beta_tool

client = Anthropic(
    base_url=os.environ.get("AIONE_URL", "http://127.0.0.1:8000"),
    api_key=os.environ.get("AIONE_API_KEY", "sk-nex-demo-every-model"),
)
model = "claude-sonnet-4-6"

question = [{"role": "user", "content": "Why do cats purr?"}]
answer = client.messages.create(model=model, max_tokens=500, messages=question)
print(answer.content[0].text)
print(answer.usage)

question = [{"role": "user", "content": "用一句话介绍一下你自己。"}]
with client.messages.stream(model=model, max_tokens=500, messages=question) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()


@beta_tool
def get_weather(city: str) -> str:
    """Return the current weather of a city."""
    return f"{city}: sunny, 23 °C"


question = [{"role": "user", "content": "What is the weather in Hangzhou?"}]
runner = client.beta.messages.tool_runner(model=model, max_tokens=500, messages=question, tools=[get_weather])
print(runner.until_done().content[0].text)
