"""LiteLLM: the prefix of the model chooses the protocol.

pip install litellm    # in its own environment: it needs an older openai than the other examples
"""

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise it downloads a price list

import litellm

url = os.environ.get("AIONE_URL", "http://127.0.0.1:8000")
key = os.environ.get("AIONE_API_KEY", "sk-nex-demo-every-model")
messages = [{"role": "user", "content": "Why do cats purr?"}]

for model, base in (("openai/gpt-5.4", f"{url}/v1"), ("anthropic/claude-sonnet-4-6", url)):
    answer = litellm.completion(model=model, api_base=base, api_key=key, messages=messages)
    print(answer.choices[0].message.content)
    print(answer.usage)
    for chunk in litellm.completion(model=model, api_base=base, api_key=key, messages=messages, stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()
