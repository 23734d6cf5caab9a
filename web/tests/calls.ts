import type { Exchange, Row } from "../src/api/types"

/** A row of the list. */
export const ROW: Row = {
  number: 1,
  session: "default",
  at: "2026-11-20T09:04:12Z",
  operation: "createChatCompletion",
  method: "POST",
  path: "/v1/chat/completions",
  status: 404,
  key: "a key",
  model: "gpt-5.4",
  asked_model: null,
  stream: false,
  duration_ms: 1,
  request_id: "req_1",
  rule: null,
  open: false,
  first_event_ms: null,
  events: 0,
  end: "finish",
  usage: null,
  cost: null,
  scenario: null,
  limit: null,
  error: null,
  finding: null,
}

/** A call with a body and an answer. */
export function exchange(operation: string, body: unknown, answer: unknown, events: string[] = []): Exchange {
  const { session: _, ...row } = ROW
  return {
    ...row,
    operation,
    stream: events.length > 0,
    request: { query: "", headers: [], body, truncated: false, violations: [] },
    response: {
      headers: [],
      body: answer,
      events,
      times_ms: [],
      end_ms: 0,
      violations: [],
      end: "finish",
      truncated: false,
    },
    explain: {
      seed: "0",
      occurrence: 1,
      scenario: null,
      action: null,
      error: null,
      limit: null,
      key_id: null,
      valid: true,
      limits: null,
      nearest: null,
      findings: [],
    },
    contract: null,
  }
}
