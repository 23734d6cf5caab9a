import { type Exchange, isObject, type Json, type JsonObject, modelOf } from "../../api/types"
import { joinTexts, lastUserText, protocolOf, readConversation, type Turn } from "./conversation"
import { googleVersion, streamsInSdk, toPython, writeSdkCall } from "./python"

type Protocol = NonNullable<ReturnType<typeof protocolOf>>

/** What a test in Python consists of. */
interface Parts {
  imports: string[]
  /** What the mock is told to answer. */
  prepare: string[]
  /** The call, and what is asserted of its answer. */
  act: string[]
}

const CLIENTS = { openai: "aione_openai", anthropic: "aione_anthropic", gemini: "client" } as const
const ERRORS = {
  openai: ["import openai", "openai.APIStatusError", "status_code"],
  anthropic: ["import anthropic", "anthropic.APIStatusError", "status_code"],
  gemini: ["from google.genai import errors", "errors.APIError", "code"],
} as const

/** Returns why no test can be made of a call, or undefined if one can. */
export function explainNoTest(exchange: Exchange): "open" | "no_model" | "truncated" | "invalid" | undefined {
  const protocol = protocolOf(exchange.operation)
  if (exchange.open) return "open"
  if (!protocol || !isObject(exchange.request.body)) return "no_model"
  if (exchange.request.truncated || exchange.response.truncated) return "truncated"
  // the SDK would refuse it before it is sent
  return protocol === "gemini" && exchange.finding === "invalid_request" ? "invalid" : undefined
}

/** Writes a test for pytest that makes the call again with the SDK of its protocol, and gets the same answer. */
export function writeTest(exchange: Exchange): string {
  const protocol = protocolOf(exchange.operation) ?? "openai"
  const parts = writeParts(exchange, protocol)
  if (protocol === "gemini") parts.imports.push("from google import genai")
  const fixtures = protocol === "gemini" ? "aione_mock" : `aione_mock, ${CLIENTS[protocol]}`
  const imports = [...new Set(parts.imports)].sort()
  const body = [...parts.prepare, ...(protocol === "gemini" ? writeGoogleClient(exchange) : []), ...parts.act]
  return [
    ...imports,
    ...(imports.length > 0 ? ["", ""] : []),
    `def test_${nameTest(exchange)}(${fixtures}):`,
    ...body.map((line) => line.replace(/^(?=.)/gm, "    ")),
    "",
  ].join("\n")
}

function writeGoogleClient(exchange: Exchange): string[] {
  const version = toPython(googleVersion(exchange))
  return [
    `options = {"base_url": aione_mock.base_url, "api_version": ${version}}`,
    "client = genai.Client(api_key=aione_mock.api_key, http_options=options)",
  ]
}

/** Returns a name in ASCII: of what was asked, or of the operation. */
function nameTest(exchange: Exchange): string {
  const asked = lastUserText(readConversation(exchange))
  const plain = /^[\x20-\x7e\n]*$/.test(asked) ? asked : ""
  const operation = (exchange.operation ?? "call").replace(/[A-Z]/g, (letter) => `_${letter}`)
  const words = `${plain.slice(0, 60)}`.toLowerCase().match(/[a-z0-9]+/g) ?? operation.toLowerCase().split("_")
  return words.slice(0, 8).join("_")
}

function writeParts(exchange: Exchange, protocol: Protocol): Parts {
  if (exchange.finding === "damaged") return writeDamaged(exchange, protocol)
  return exchange.status >= 400 ? writeRefused(exchange, protocol) : writeAnswered(exchange, protocol)
}

function assertCalled(exchange: Exchange): string {
  const model = modelOf(exchange)
  const more = model ? `, model=${toPython(model)}` : ""
  return `aione_mock.assert_called(${toPython(exchange.operation)}, times=1, status=${exchange.status}${more})`
}

/** A fault is what the client meets: the test leaves open what it raises, and says how the answer ended. */
function writeDamaged(exchange: Exchange, protocol: Protocol): Parts {
  return {
    imports: ["import contextlib"],
    prepare: [writeRule(actionOf(exchange))],
    act: [
      "# decide here what your application has to raise",
      "with contextlib.suppress(Exception):",
      ...indent([keepAnswer(exchange, writeSdkCall(exchange, CLIENTS[protocol]))]),
      ...assertPlayed(exchange),
    ],
  }
}

/** Returns what was played, with its options. */
const actionOf = (exchange: Exchange): JsonObject => (exchange.explain.action ?? {}) as JsonObject

/** Prepares what was played. */
function writeRule(then: JsonObject): string {
  return `aione_mock.set_rules([${toPython({ then })}])`
}

const assertPlayed = (exchange: Exchange): string[] => [
  `assert aione_mock.last_call.scenario == ${toPython(exchange.scenario)}`,
  `assert aione_mock.last_call.ended == ${toPython(exchange.end)}`,
]

/** A request that violates the contract is refused by itself; any other refusal is prepared. */
function writeRefused(exchange: Exchange, protocol: Protocol): Parts {
  const [module, error, status] = ERRORS[protocol]
  const invalid = exchange.finding === "invalid_request"
  const call = invalid ? writePost(exchange, protocol) : writeSdkCall(exchange, CLIENTS[protocol])
  return {
    imports: ["import pytest", module],
    prepare: invalid ? [] : [writeRefusal(exchange)],
    act: [
      `with pytest.raises(${error}) as refused:`,
      ...indent([invalid ? call : keepAnswer(exchange, call)]),
      `assert refused.value.${status} == ${exchange.status}`,
      assertCalled(exchange),
    ],
  }
}

/** Prepares an error; what came with it, such as a pace, takes a rule. */
function writeRefusal(exchange: Exchange): string {
  const { error = exchange.explain.error ?? "internal_error", ...options } = actionOf(exchange)
  if (!Object.keys(options).every((name) => ["message", "retry_after", "delay"].includes(name))) {
    return writeRule({ error, ...options })
  }
  return `aione_mock.fail(${[toPython(error), ...writeKeywords(options)].join(", ")})`
}

const writeKeywords = (options: JsonObject): string[] =>
  Object.entries(options).map(([name, value]) => `${name}=${toPython(value)}`)

/** Sends a body as it is: the SDK's own methods would not take every one. */
function writePost(exchange: Exchange, protocol: Protocol): string {
  const path = protocol === "openai" ? exchange.path.replace(/^\/v1(?=\/)/, "") : exchange.path
  const body = exchange.request.body as Json
  return `${CLIENTS[protocol]}.post(${toPython(path)}, cast_to=object, body=${toPython(body)})`
}

function writeAnswered(exchange: Exchange, protocol: Protocol): Parts {
  const turn = readConversation(exchange)?.answers[0]
  const then = readOutcome(exchange, turn)
  return {
    imports: [],
    prepare: Object.keys(then).length > 0 ? [writeOutcome(then)] : [],
    act: [
      keepAnswer(exchange, writeSdkCall(exchange, CLIENTS[protocol])),
      ...(then.reply && turn ? assertAnswer(exchange, protocol, turn) : []),
      ...(then.awkward ? assertPlayed(exchange) : []),
      assertCalled(exchange),
    ],
  }
}

/** Returns what was played; an answer that was not scripted becomes so. An awkward one is made anew. */
function readOutcome(exchange: Exchange, turn?: Turn): JsonObject {
  const action = actionOf(exchange)
  const reply = action.reply || action.awkward ? undefined : turn && readReply(turn)
  return reply ? { reply, ...action } : action
}

function writeOutcome(then: JsonObject): string {
  const { reply, ...others } = then
  if (!isObject(reply) || Object.keys(others).length > 0) return writeRule(then)
  const { text, ...options } = reply
  return `aione_mock.reply(${[...(text ? [toPython(text)] : []), ...writeKeywords(options)].join(", ")})`
}

/** Returns the script of an answer; nothing for one that has neither text nor tool calls, such as a picture. */
function readReply(turn: Turn): JsonObject | undefined {
  const text = joinTexts(turn)
  const calls = listToolCalls(turn)
  if (turn.parts.some((part) => part.kind === "image") || (!text && calls.length === 0)) return undefined
  const reasoning = turn.parts.flatMap((part) => (part.kind === "reasoning" ? [part.text] : [])).join("")
  return {
    ...(text ? { text } : {}),
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
    ...(reasoning ? { reasoning } : {}),
  }
}

function listToolCalls(turn: Turn): JsonObject[] {
  return turn.parts.flatMap((part): JsonObject[] =>
    part.kind === "tool_call" ? [{ name: part.name, arguments: parseArguments(part.text) }] : [],
  )
}

function parseArguments(text: string): Json {
  try {
    return JSON.parse(text || "{}") as Json
  } catch {
    return {}
  }
}

/** Python expressions of what an SDK's `answer`, or the list of its `events`, says and calls. */
const READERS: Record<Protocol, { text: [string, string]; tools: [string, string] }> = {
  openai: {
    text: [
      'answer.choices[0].message.content or ""',
      '"".join(event.choices[0].delta.content or "" for event in events if event.choices)',
    ],
    tools: [
      "[call.function.name for call in answer.choices[0].message.tool_calls]",
      "[call.function.name for event in events for choice in event.choices for call in choice.delta.tool_calls or [] if call.function.name]",
    ],
  },
  anthropic: {
    text: [
      '"".join(block.text for block in answer.content if block.type == "text")',
      '"".join(event.delta.text for event in events if event.type == "content_block_delta" and event.delta.type == "text_delta")',
    ],
    tools: [
      '[block.name for block in answer.content if block.type == "tool_use"]',
      '[event.content_block.name for event in events if event.type == "content_block_start" and event.content_block.type == "tool_use"]',
    ],
  },
  gemini: {
    text: ['answer.text or ""', '"".join(event.text or "" for event in events)'],
    tools: [
      "[call.name for call in answer.function_calls]",
      "[call.name for event in events for call in event.function_calls or []]",
    ],
  },
}

function assertAnswer(exchange: Exchange, protocol: Protocol, turn: Turn): string[] {
  const way = streamsInSdk(exchange) ? 1 : 0
  const { text, tools } = READERS[protocol]
  const names = listToolCalls(turn).map(({ name }) => name ?? "")
  const said = joinTexts(turn)
  return [
    ...(said ? [`text = ${text[way]}`, `assert text == ${toPython(said)}`] : []),
    ...(names.length > 0 ? [`tools = ${tools[way]}`, `assert tools == ${toPython(names)}`] : []),
  ]
}

/** Writes a call that keeps its answer; a stream is read to its end. */
function keepAnswer(exchange: Exchange, call: string): string {
  return streamsInSdk(exchange) ? `events = list(${call})` : `answer = ${call}`
}

const indent = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/^(?=.)/gm, "    "))
