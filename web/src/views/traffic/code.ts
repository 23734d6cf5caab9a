import { type CallContent, isObject, type JsonObject } from "../../api/types"
import { toJson, toShell } from "../../format"
import { protocolOf } from "./conversation"
import { googleVersion, streamsInSdk, toPython, writeSdkCall } from "./python"

/** A language in which a call can be written. */
export type Target = "curl" | "openai" | "anthropic" | "google" | "fetch"

const SDKS = { openai: "openai", anthropic: "anthropic", gemini: "google" } as const
const VARIABLES = { openai: "OPENAI_API_KEY", anthropic: "ANTHROPIC_API_KEY", gemini: "GEMINI_API_KEY" } as const
const SECRET = /^(authorization|x-api-key|x-goog-api-key|cookie|proxy-authorization|x-acs-.*)$/i
const NOISE =
  /^(host|content-length|connection|accept|accept-encoding|accept-language|user-agent|x-stainless-.*|x-goog-api-client|sec-.*|origin|referer|cache-control|pragma|traceparent|x-forwarded-.*)$/i

/** Returns the languages that suit a call: each has curl and fetch, a model call its protocol's SDK too. */
export function targetsOf(exchange: CallContent): Target[] {
  const protocol = protocolOf(exchange.operation)
  return protocol && isObject(exchange.request.body) ? ["curl", SDKS[protocol], "fetch"] : ["curl", "fetch"]
}

/** Writes a call in a language. `base` is the URL of the mock; keys come from the environment. */
export function writeCode(exchange: CallContent, target: Target, base: string): string {
  return WRITERS[target](exchange, base)
}

const pathOf = (exchange: CallContent): string =>
  exchange.path + (exchange.request.query ? `?${exchange.request.query}` : "")

/** Returns the header in which a call has its key, and what comes before the key; undefined without one. */
export function keyHeader(exchange: CallContent): [string, string] | undefined {
  const names = exchange.request.headers.map(([name = ""]) => name.toLowerCase())
  if (names.includes("x-api-key")) return ["x-api-key", ""]
  if (names.includes("x-goog-api-key")) return ["x-goog-api-key", ""]
  return names.includes("authorization") ? ["Authorization", "Bearer "] : undefined
}

/** Returns the headers of a call that are its own: no credentials, and none that every client sends. */
export function plainHeaders(exchange: CallContent): [string, string][] {
  return exchange.request.headers.flatMap(([name = "", value = ""]): [string, string][] =>
    SECRET.test(name) || NOISE.test(name) ? [] : [[name, value]],
  )
}

/** Returns the header that asks for a scenario: an SDK sends no other of its own accord. */
export function scenarioOf(exchange: CallContent): JsonObject | undefined {
  const found = plainHeaders(exchange).find(([name]) => name.toLowerCase() === "x-mock-scenario")
  return found && { [found[0]]: found[1] }
}

function bodyText(exchange: CallContent): string | undefined {
  const body: unknown = exchange.request.body
  if (body === null || body === undefined || body === "") return undefined
  return typeof body === "string" ? body : toJson(body, 2)
}

const variableOf = (exchange: CallContent): string => VARIABLES[protocolOf(exchange.operation) ?? "openai"]

function writeCurl(exchange: CallContent, base: string): string {
  const key = keyHeader(exchange)
  const body = bodyText(exchange)
  const lines = [`curl ${exchange.method === "GET" ? "" : `-X ${exchange.method} `}${toShell(base + pathOf(exchange))}`]
  if (key) lines.push(`-H "${key[0]}: ${key[1]}$${variableOf(exchange)}"`)
  for (const [name, value] of plainHeaders(exchange)) lines.push(`-H ${toShell(`${name}: ${value}`)}`)
  if (body !== undefined) lines.push(`-d ${toShell(body)}`)
  return lines.join(" \\\n  ")
}

function writeFetch(exchange: CallContent, base: string): string {
  const key = keyHeader(exchange)
  const headers = plainHeaders(exchange).map(([name, value]) => `    ${toJson(name)}: ${toJson(value)},`)
  if (key) headers.unshift(`    ${toJson(key[0])}: \`${key[1]}\${process.env.${variableOf(exchange)}}\`,`)
  const body = bodyText(exchange)
  const json = isObject(exchange.request.body)
  const sent =
    body === undefined ? [] : [json ? `  body: JSON.stringify(${indent(body, 2)}),` : `  body: ${toJson(body)},`]
  return [
    `const answer = await fetch(${toJson(base + pathOf(exchange))}, {`,
    `  method: ${toJson(exchange.method)},`,
    "  headers: {",
    ...headers,
    "  },",
    ...sent,
    "})",
    "console.log(await answer.text())",
  ].join("\n")
}

const indent = (text: string, by: number): string => text.replaceAll("\n", `\n${" ".repeat(by)}`)

/** Writes a program that calls an SDK and prints the answer. */
function writeProgram(module: string, client: string, suffix: string) {
  return (exchange: CallContent, base: string): string =>
    [
      "import os",
      "",
      `from ${module} import ${client}`,
      "",
      `client = ${client}(base_url=${toPython(base + suffix)}, api_key=os.environ["${variableOf(exchange)}"])`,
      `answer = ${writeSdkCall(exchange, "client", scenarioOf(exchange))}`,
      writePrinting(exchange),
    ].join("\n")
}

const writePrinting = (exchange: CallContent): string =>
  streamsInSdk(exchange) ? "for event in answer:\n    print(event)" : "print(answer)"

function writeGoogle(exchange: CallContent, base: string): string {
  const scenario = scenarioOf(exchange)
  const options = { base_url: base, api_version: googleVersion(exchange), ...(scenario ? { headers: scenario } : {}) }
  return [
    "import os",
    "",
    "from google import genai",
    "",
    "client = genai.Client(",
    `    api_key=os.environ["${VARIABLES.gemini}"],`,
    `    http_options=${toPython(options, 1)},`,
    ")",
    `answer = ${writeSdkCall(exchange, "client")}`,
    writePrinting(exchange),
  ].join("\n")
}

const WRITERS: Record<Target, (exchange: CallContent, base: string) => string> = {
  curl: writeCurl,
  openai: writeProgram("openai", "OpenAI", "/v1"),
  anthropic: writeProgram("anthropic", "Anthropic", ""),
  google: writeGoogle,
  fetch: writeFetch,
}
