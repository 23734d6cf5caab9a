"""LangChain: the same program with all three protocols.

pip install langchain-openai langchain-anthropic langchain-google-genai
"""

import os

from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI

url = os.environ.get("AIONE_URL", "http://127.0.0.1:8000")
key = os.environ.get("AIONE_API_KEY", "sk-nex-demo-every-model")


@tool
def get_weather(city: str) -> str:
    """Return the current weather of a city."""
    return f"{city}: sunny, 23 °C"


for model in (
    ChatOpenAI(model="gpt-5.4", base_url=f"{url}/v1", api_key=key),
    ChatAnthropic(model="claude-sonnet-4-6", base_url=url, api_key=key),
    ChatGoogleGenerativeAI(model="gemini-2.5-flash", base_url=url, api_version="v1beta", api_key=key),
):
    print(type(model).__name__)
    for chunk in model.stream("Why do cats purr?"):
        print(chunk.text, end="", flush=True)
    print()
    messages = [("user", "What is the weather in Hangzhou?")]
    asked = model.bind_tools([get_weather]).invoke(messages)
    messages += [asked, *(get_weather.invoke(call) for call in asked.tool_calls)]
    answer = model.bind_tools([get_weather]).invoke(messages)
    print(answer.text, answer.usage_metadata)
