import {
  type GatewayAnswer,
  type GatewayRequest,
  joinPieces,
  keyHeader,
  type Protocol,
  splitEvents,
} from "../../api/gateway_call"
import { type CallContent, isObject, type Json, type JsonObject } from "../../api/types"
import type { Turn } from "../traffic/conversation"

export interface Message {
  role: "user" | "assistant"
  text: string
}

/** What a person has filled in. */
export interface Question {
  protocol: Protocol
  model: string
  system: string
  messages: Message[]
  /** A JSON list of functions: name, description, parameters. */
  tools: string
  /** A JSON Schema. */
  schema: string
  stream: boolean
  /** As in the header X-Mock-Scenario. */
  scenario: string
}

export class QuestionError extends Error {
  constructor(
    readonly field: "tools" | "schema",
    message: string,
  ) {
    super(message)
  }
}

const MAX_TOKENS = 1024

interface Parts {
  question: Question
  tools: JsonObject[]
  schema: JsonObject | undefined
}

/** Returns the call that asks a question. Throws QuestionError where tools or schema are not what they should be. */
export function makeRequest(question: Question): GatewayRequest {
  const parts = { question, tools: readTools(question.tools), schema: readSchema(question.schema) }
  const made = MAKERS[question.protocol](parts)
  const scenario = question.scenario.trim()
  const headers: [string, string][] = [["content-type", "application/json"], ...made.headers]
  if (scenario) headers.push(["x-mock-scenario", scenario])
  return { ...made, protocol: question.protocol, headers }
}

function parseField(field: "tools" | "schema", text: string): Json | undefined {
  if (text.trim() === "") return undefined
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    throw new QuestionError(field, error instanceof Error ? error.message : String(error))
  }
}

function readTools(text: string): JsonObject[] {
  const value = parseField("tools", text)
  if (value === undefined) return []
  if (Array.isArray(value) && value.every((each) => isObject(each) && typeof each.name === "string")) {
    return value.filter(isObject)
  }
  throw new QuestionError("tools", '[{"name": …, "description": …, "parameters": {…}}]')
}

function readSchema(text: string): JsonObject | undefined {
  const value = parseField("schema", text)
  if (value === undefined || isObject(value)) return value
  throw new QuestionError("schema", '{"type": "object", "properties": {…}}')
}

type Made = Omit<GatewayRequest, "protocol">

function makeOpenAi({ question, tools, schema }: Parts): Made {
  const messages = question.messages.map(({ role, text }) => ({ role, content: text }))
  const system = question.system ? [{ role: "system", content: question.system }] : []
  const format = { type: "json_schema", json_schema: { name: "answer", schema: schema ?? {}, strict: true } }
  const body: JsonObject = {
    model: question.model,
    messages: [...system, ...messages],
    ...(tools.length > 0 ? { tools: tools.map((tool) => ({ type: "function", function: tool })) } : {}),
    ...(schema ? { response_format: format } : {}),
    ...(question.stream ? { stream: true } : {}),
  }
  return { operation: "createChatCompletion", path: "/v1/chat/completions", query: "", headers: [], body }
}

function makeAnthropic({ question, tools, schema }: Parts): Made {
  const body: JsonObject = {
    model: question.model,
    max_tokens: MAX_TOKENS,
    ...(question.system ? { system: question.system } : {}),
    messages: question.messages.map(({ role, text }) => ({ role, content: text })),
    ...(tools.length > 0
      ? { tools: tools.map(({ parameters, ...tool }) => ({ ...tool, input_schema: parameters ?? { type: "object" } })) }
      : {}),
    ...(schema ? { output_config: { format: { type: "json_schema", schema } } } : {}),
    ...(question.stream ? { stream: true } : {}),
  }
  const headers: [string, string][] = [["anthropic-version", "2023-06-01"]]
  return { operation: "createMessage", path: "/v1/messages", query: "", headers, body }
}

function makeGemini({ question, tools, schema }: Parts): Made {
  const contents = question.messages.map(({ role, text }) => ({
    role: role === "assistant" ? "model" : "user",
    parts: [{ text }],
  }))
  const body: JsonObject = {
    contents,
    ...(question.system ? { systemInstruction: { parts: [{ text: question.system }] } } : {}),
    ...(tools.length > 0 ? { tools: [{ functionDeclarations: tools }] } : {}),
    ...(schema ? { generationConfig: { responseMimeType: "application/json", responseJsonSchema: schema } } : {}),
  }
  const operation = question.stream ? "streamGenerateContent" : "generateContent"
  const path = `/v1beta/models/${encodeURIComponent(question.model)}:${operation}`
  return { operation, path, query: question.stream ? "alt=sse" : "", headers: [], body }
}

const MAKERS: Record<Protocol, (parts: Parts) => Made> = {
  openai: makeOpenAi,
  anthropic: makeAnthropic,
  gemini: makeGemini,
}

const BYTE_ORDER_MARK = /^\uFEFF/

/** Returns a call and what came of it as the journal has them. */
export function toExchange(request: GatewayRequest, answer: GatewayAnswer, stream: boolean): CallContent {
  const events = stream ? splitEvents(answer.pieces) : []
  const [name] = keyHeader(request.protocol, "")
  return {
    operation: request.operation,
    method: "POST",
    path: request.path,
    status: answer.status,
    model: null,
    stream,
    duration_ms: answer.duration,
    usage: null,
    request: {
      query: request.query,
      headers: [[name, ""], ...request.headers],
      body: request.body,
      truncated: false,
      violations: [],
    },
    response: {
      headers: answer.headers,
      body: stream ? null : parseBody(joinPieces(answer)),
      events: events.map((event) => event.text.replace(BYTE_ORDER_MARK, "")),
      times_ms: events.map((event) => event.at),
      end_ms: answer.duration,
      violations: [],
      end: answer.end === "broken" ? "cut" : "finish",
      truncated: false,
    },
  }
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Says whether two answers say the same, whatever way they came. */
export function agree(one: readonly Turn[], other: readonly Turn[]): boolean {
  return one.length > 0 && JSON.stringify(one) === JSON.stringify(other)
}
