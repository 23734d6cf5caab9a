#!/bin/sh
# curl: a plain answer and a stream over each protocol.
set -eu
url=${AIONE_URL:-http://127.0.0.1:8000}
key=${AIONE_API_KEY:-sk-nex-demo-every-model}

ask() { # path, body
  curl --silent --show-error --fail --no-buffer "$url$1" \
    -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$2"
  echo
}

messages='[{"role": "user", "content": "Why do cats purr?"}]'
ask /v1/chat/completions "{\"model\": \"gpt-5.4\", \"messages\": $messages}"
ask /v1/chat/completions "{\"model\": \"gpt-5.4\", \"messages\": $messages, \"stream\": true}"

ask /v1/messages "{\"model\": \"claude-sonnet-4-6\", \"max_tokens\": 200, \"messages\": $messages}"
ask /v1/messages "{\"model\": \"claude-sonnet-4-6\", \"max_tokens\": 200, \"messages\": $messages, \"stream\": true}"

contents='[{"role": "user", "parts": [{"text": "Why do cats purr?"}]}]'
ask /v1beta/models/gemini-2.5-flash:generateContent "{\"contents\": $contents}"
ask '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse' "{\"contents\": $contents}"
