"""OpenAI's SDK: a plain answer, a stream, and a tool.

pip install openai
"""

import json
import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("AIONE_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ.get("AIONE_API_KEY", "sk-nex-demo-every-model"),
)
model = "gpt-5.4"

answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Why do cats purr?"}])
print(answer.choices[0].message.content)
print(answer.usage)

for chunk in client.chat.completions.create(
    model=model, messages=[{"role": "user", "content": "用一句话介绍一下你自己。"}], stream=True
):
    if chunk.choices:  # with `include_usage`, the last chunk has none
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

weather = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
messages = [{"role": "user", "content": "What is the weather in Hangzhou?"}]
asked = client.chat.completions.create(model=model, messages=messages, tools=[weather]).choices[0].message
messages.append(asked)
for call in asked.tool_calls:
    city = json.loads(call.function.arguments)["city"]
    messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{city}: sunny, 23 °C"})
print(client.chat.completions.create(model=model, messages=messages, tools=[weather]).choices[0].message.content)
