import { readEvents } from "../../api/sse"
import { type CallContent, isObject, type Json, type JsonObject, objectsOf, textOf } from "../../api/types"

/** What one side says, whatever the protocol. */
export interface Turn {
  role: string
  parts: Part[]
}

export type Part =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "image"; source: string }
  | { kind: "tool_call"; name: string; text: string }
  | { kind: "tool_result"; name: string; text: string }

export interface Conversation {
  tools: string[]
  asked: Turn[]
  answers: Turn[]
}

type Protocol = "openai" | "anthropic" | "gemini"

const PROTOCOLS: Record<string, Protocol> = {
  createChatCompletion: "openai",
  createMessage: "anthropic",
  countMessageTokens: "anthropic",
  generateContent: "gemini",
  streamGenerateContent: "gemini",
  countTokens: "gemini",
}

export function protocolOf(operation: string | null): Protocol | undefined {
  return PROTOCOLS[operation ?? ""]
}

/** Returns what was asked and answered, or undefined where the call holds no conversation. */
export function readConversation(exchange: CallContent): Conversation | undefined {
  const protocol = protocolOf(exchange.operation)
  const asked = exchange.request.body
  if (!protocol || !isObject(asked)) return undefined
  return { ...READERS[protocol].readRequest(asked), answers: readAnswers(exchange, protocol) }
}

function readAnswers(exchange: CallContent, protocol: Protocol): Turn[] {
  const body = exchange.response.body
  if (exchange.stream) return READERS[protocol].foldEvents(parseEvents(exchange.response.events))
  return isObject(body) ? READERS[protocol].readAnswer(body) : []
}

/** Returns the JSON objects in the events of a stream; others, such as `[DONE]`, are left out. */
export function parseEvents(texts: readonly string[]): JsonObject[] {
  return readEvents(texts).flatMap((event) => {
    try {
      const value: unknown = JSON.parse(event.data)
      return isObject(value) ? [value] : []
    } catch {
      return []
    }
  })
}

/** Returns the text of the last message of the user. */
export function lastUserText(conversation: Conversation | undefined): string {
  const turn = conversation?.asked.filter((each) => each.role === "user").at(-1)
  return turn ? joinTexts(turn) : ""
}

export function joinTexts(turn: Turn): string {
  return turn.parts.flatMap((part) => (part.kind === "text" ? [part.text] : [])).join("")
}

interface Reader {
  readRequest(body: JsonObject): { tools: string[]; asked: Turn[] }
  readAnswer(body: JsonObject): Turn[]
  foldEvents(events: JsonObject[]): Turn[]
}

const text = (value: string, kind: "text" | "reasoning" = "text"): Part[] => (value ? [{ kind, text: value }] : [])

function pretty(value: Json | undefined): string {
  if (typeof value === "string") {
    try {
      return JSON.stringify(JSON.parse(value), null, 2)
    } catch {
      return value
    }
  }
  return value === undefined ? "" : JSON.stringify(value, null, 2)
}

// ---- OpenAI

function readOpenAiContent(content: Json | undefined): Part[] {
  if (typeof content === "string") return text(content)
  return objectsOf(content).flatMap((part): Part[] => {
    if (isObject(part.image_url)) return [{ kind: "image", source: textOf(part.image_url.url) }]
    return text(textOf(part.text) || textOf(part.refusal))
  })
}

function readOpenAiMessage(message: JsonObject): Turn {
  const role = textOf(message.role) || "assistant"
  const said = readOpenAiContent(message.content)
  if (role === "tool") {
    const result = said.flatMap((part) => ("text" in part ? [part.text] : [])).join("")
    return { role, parts: [{ kind: "tool_result", name: textOf(message.tool_call_id), text: pretty(result) }] }
  }
  const called = objectsOf(message.tool_calls).map((call): Part => {
    const named = isObject(call.function) ? call.function : {}
    return { kind: "tool_call", name: textOf(named.name), text: pretty(named.arguments) }
  })
  return { role, parts: [...text(textOf(message.reasoning_content), "reasoning"), ...said, ...called] }
}

interface OpenAiDraft {
  content: string
  reasoning: string
  calls: Map<number, { name: string; text: string }>
}

function addOpenAiDelta(draft: OpenAiDraft, delta: JsonObject): void {
  draft.content += textOf(delta.content)
  draft.reasoning += textOf(delta.reasoning_content)
  for (const call of objectsOf(delta.tool_calls)) {
    const index = typeof call.index === "number" ? call.index : 0
    const known = draft.calls.get(index) ?? { name: "", text: "" }
    const part = isObject(call.function) ? call.function : {}
    draft.calls.set(index, { name: known.name + textOf(part.name), text: known.text + textOf(part.arguments) })
  }
}

const openai: Reader = {
  readRequest: (body) => ({
    tools: objectsOf(body.tools).flatMap((tool) => (isObject(tool.function) ? [textOf(tool.function.name)] : [])),
    asked: objectsOf(body.messages).map(readOpenAiMessage),
  }),
  readAnswer: (body) =>
    objectsOf(body.choices).flatMap((choice) => (isObject(choice.message) ? [readOpenAiMessage(choice.message)] : [])),
  foldEvents: (events) => {
    const drafts = new Map<number, OpenAiDraft>()
    for (const choice of events.flatMap((event) => objectsOf(event.choices))) {
      const index = typeof choice.index === "number" ? choice.index : 0
      const draft = drafts.get(index) ?? { content: "", reasoning: "", calls: new Map() }
      drafts.set(index, draft)
      if (isObject(choice.delta)) addOpenAiDelta(draft, choice.delta)
    }
    return [...drafts.values()].map((draft) => ({
      role: "assistant",
      parts: [
        ...text(draft.reasoning, "reasoning"),
        ...text(draft.content),
        ...[...draft.calls.values()].map(
          (call): Part => ({ kind: "tool_call", name: call.name, text: pretty(call.text) }),
        ),
      ],
    }))
  },
}

// ---- Anthropic

function readAnthropicContent(content: Json | undefined): Part[] {
  if (typeof content === "string") return text(content)
  return objectsOf(content).flatMap(readAnthropicBlock)
}

function readAnthropicBlock(block: JsonObject): Part[] {
  if (block.type === "text") return text(textOf(block.text))
  if (block.type === "thinking") return text(textOf(block.thinking), "reasoning")
  if (block.type === "tool_use") return [{ kind: "tool_call", name: textOf(block.name), text: pretty(block.input) }]
  if (block.type === "tool_result") {
    const parts = readAnthropicContent(block.content)
    const result = parts.flatMap((part) => ("text" in part ? [part.text] : [])).join("")
    return [{ kind: "tool_result", name: textOf(block.tool_use_id), text: pretty(result) }]
  }
  if (block.type === "image" && isObject(block.source))
    return [{ kind: "image", source: readAnthropicImage(block.source) }]
  return []
}

function readAnthropicImage(source: JsonObject): string {
  return textOf(source.url) || `data:${textOf(source.media_type)};base64,${textOf(source.data)}`
}

const anthropic: Reader = {
  readRequest: (body) => ({
    tools: objectsOf(body.tools).map((tool) => textOf(tool.name)),
    asked: [
      ...(body.system ? [{ role: "system", parts: readAnthropicContent(body.system) }] : []),
      ...objectsOf(body.messages).map((message) => ({
        role: textOf(message.role),
        parts: readAnthropicContent(message.content),
      })),
    ],
  }),
  readAnswer: (body) => (body.content ? [{ role: "assistant", parts: readAnthropicContent(body.content) }] : []),
  foldEvents: (events) => {
    const blocks = new Map<Json | undefined, JsonObject>()
    for (const event of events) {
      if (event.type === "content_block_start" && isObject(event.content_block)) {
        blocks.set(event.index, { ...event.content_block })
      }
      const block = blocks.get(event.index)
      if (block && isObject(event.delta)) addAnthropicDelta(block, event.delta)
    }
    const parts = [...blocks.values()].flatMap((block) =>
      readAnthropicBlock(typeof block.partial === "string" ? { ...block, input: block.partial } : block),
    )
    return parts.length > 0 ? [{ role: "assistant", parts }] : []
  },
}

function addAnthropicDelta(block: JsonObject, delta: JsonObject): void {
  if (delta.text) block.text = textOf(block.text) + textOf(delta.text)
  if (delta.thinking) block.thinking = textOf(block.thinking) + textOf(delta.thinking)
  if (delta.partial_json) block.partial = textOf(block.partial) + textOf(delta.partial_json)
}

// ---- Gemini

function readGeminiPart(part: JsonObject): Part[] {
  const data = part.inlineData ?? part.inline_data
  const call = part.functionCall ?? part.function_call
  const result = part.functionResponse ?? part.function_response
  if (isObject(data)) {
    const mime = textOf(data.mimeType) || textOf(data.mime_type)
    return [{ kind: "image", source: `data:${mime};base64,${textOf(data.data)}` }]
  }
  if (isObject(call)) return [{ kind: "tool_call", name: textOf(call.name), text: pretty(call.args) }]
  if (isObject(result)) return [{ kind: "tool_result", name: textOf(result.name), text: pretty(result.response) }]
  return text(textOf(part.text), part.thought === true ? "reasoning" : "text")
}

function readGeminiContent(content: JsonObject, role: string): Turn {
  const named = textOf(content.role) || role
  return { role: named === "model" ? "assistant" : named, parts: objectsOf(content.parts).flatMap(readGeminiPart) }
}

/** Joins texts of one kind that follow each other. */
function joinParts(parts: readonly Part[]): Part[] {
  const joined: Part[] = []
  for (const part of parts) {
    const last = joined.at(-1)
    if (last && (part.kind === "text" || part.kind === "reasoning") && last.kind === part.kind) {
      joined[joined.length - 1] = { kind: part.kind, text: last.text + part.text }
    } else {
      joined.push(part)
    }
  }
  return joined
}

function geminiTools(body: JsonObject): string[] {
  const declared = objectsOf(body.tools).flatMap(
    (tool) => tool.functionDeclarations ?? tool.function_declarations ?? [],
  )
  return objectsOf(declared).map((each) => textOf(each.name))
}

const gemini: Reader = {
  readRequest: (body) => {
    const system = body.systemInstruction ?? body.system_instruction
    return {
      tools: geminiTools(body),
      asked: [
        ...(isObject(system) ? [{ ...readGeminiContent(system, "system"), role: "system" }] : []),
        ...objectsOf(body.contents).map((content) => readGeminiContent(content, "user")),
      ],
    }
  },
  readAnswer: (body) =>
    objectsOf(body.candidates).flatMap((each) =>
      isObject(each.content) ? [readGeminiContent(each.content, "assistant")] : [],
    ),
  foldEvents: (events) => {
    const parts = events.flatMap((event) => gemini.readAnswer(event)).flatMap((turn) => turn.parts)
    return parts.length > 0 ? [{ role: "assistant", parts: joinParts(parts) }] : []
  },
}

const READERS: Record<Protocol, Reader> = { openai, anthropic, gemini }
