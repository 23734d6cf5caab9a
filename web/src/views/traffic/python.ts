import type { CallContent, Json, JsonObject } from "../../api/types"
import { isObject } from "../../api/types"
import { toJson } from "../../format"
import { protocolOf } from "./conversation"

/** Writes a value as Python does. */
export function toPython(value: Json | undefined, depth = 0): string {
  const pad = "    ".repeat(depth + 1)
  const end = "    ".repeat(depth)
  if (value === null || value === undefined) return "None"
  if (value === true) return "True"
  if (value === false) return "False"
  if (typeof value === "string") return toJson(value)
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "1e999"
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]"
    return `[\n${value.map((each) => `${pad}${toPython(each, depth + 1)},\n`).join("")}${end}]`
  }
  const members = Object.entries(value)
  if (members.length === 0) return "{}"
  return `{\n${members.map(([name, each]) => `${pad}${toPython(name)}: ${toPython(each, depth + 1)},\n`).join("")}${end}}`
}

/** Writes a call of an SDK. `client` is the name of the client in the code around it. */
export function writeSdkCall(exchange: CallContent, client: string, headers?: JsonObject): string {
  return protocolOf(exchange.operation) === "gemini"
    ? writeGoogleCall(exchange, client)
    : writeKeywordCall(exchange, client, headers)
}

const split = (text: string): Set<string> => new Set(text.split(" "))

/** What releases of the SDKs have as parameters; any other member goes into `extra_body`. */
const OPENAI = split(
  "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty reasoning_effort response_format seed service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user",
)
const COUNTED = "messages model system thinking tool_choice tools"
const ANTHROPIC = split(`${COUNTED} max_tokens metadata service_tier stop_sequences stream`)
const METHODS: Record<string, { path: string; names: Set<string> }> = {
  createChatCompletion: { path: "chat.completions.create", names: OPENAI },
  createMessage: { path: "messages.create", names: ANTHROPIC },
  countMessageTokens: { path: "messages.count_tokens", names: split(COUNTED) },
}

const bodyOf = (exchange: CallContent): JsonObject => (isObject(exchange.request.body) ? exchange.request.body : {})

function writeKeywordCall(exchange: CallContent, client: string, headers?: JsonObject): string {
  const { path, names } = METHODS[exchange.operation ?? ""] ?? { path: "chat.completions.create", names: OPENAI }
  const [known, extra] = divide(bodyOf(exchange), (name) => names.has(name))
  const members = {
    ...known,
    ...(Object.keys(extra).length > 0 ? { extra_body: extra } : {}),
    ...(headers ? { extra_headers: headers } : {}),
  }
  return `${client}.${path}(\n${Object.entries(members)
    .map(([name, value]) => `    ${name}=${toPython(value, 1)},\n`)
    .join("")})`
}

/** Divides the members of an object into those with a name that fits, and the others. */
function divide(body: JsonObject, fits: (name: string) => boolean): [JsonObject, JsonObject] {
  const members = Object.entries(body)
  return [
    Object.fromEntries(members.filter(([name]) => fits(name))),
    Object.fromEntries(members.filter(([name]) => !fits(name))),
  ]
}

const GOOGLE_PARTS = split("system_instruction tools tool_config safety_settings labels cached_content")
const GOOGLE_CONFIG = split(
  "temperature top_p top_k candidate_count max_output_tokens stop_sequences response_logprobs logprobs presence_penalty frequency_penalty seed response_mime_type response_schema response_json_schema response_modalities media_resolution speech_config thinking_config image_config",
)
const toSnake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

function writeGoogleCall(exchange: CallContent, client: string): string {
  const { contents, generationConfig, generation_config, ...rest } = bodyOf(exchange)
  const shared = generationConfig ?? generation_config
  const [parts, extra] = divide(rest, (name) => GOOGLE_PARTS.has(toSnake(name)))
  const [config, others] = divide(isObject(shared) ? shared : {}, (name) => GOOGLE_CONFIG.has(toSnake(name)))
  if (Object.keys(others).length > 0) extra.generationConfig = others
  const all: JsonObject = { ...config, ...parts }
  if (Object.keys(extra).length > 0) all.http_options = { extra_body: extra }
  const model = /models\/([^/:]+)/.exec(exchange.path)?.[1] ?? exchange.model ?? ""
  const lines = [
    `${client}.models.${googleMethod(exchange)}(`,
    `    model=${toPython(decodeURIComponent(model))},`,
    `    contents=${toPython(contents ?? [], 1)},`,
  ]
  if (Object.keys(all).length > 0) lines.push(`    config=${toPython(all, 1)},`)
  return [...lines, ")"].join("\n")
}

function googleMethod(exchange: CallContent): string {
  if (exchange.operation === "countTokens") return "count_tokens"
  return exchange.operation === "streamGenerateContent" ? "generate_content_stream" : "generate_content"
}

/** Returns whether the SDK returns a stream of events. */
export function streamsInSdk(exchange: CallContent): boolean {
  return exchange.operation === "streamGenerateContent" || bodyOf(exchange).stream === true
}

/** Returns the version in the path of a call to Gemini: `v1beta`. */
export function googleVersion(exchange: CallContent): string {
  return exchange.path.split("/")[1] ?? ""
}
