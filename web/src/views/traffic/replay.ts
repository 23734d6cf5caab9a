import { effect } from "@preact/signals"
import { clientUrl } from "../../api/client"
import type { Credential } from "../../api/console"
import { keyHeader as headerOf } from "../../api/gateway_call"
import type { Exchange } from "../../api/types"
import { calls, version } from "./calls"
import { keyHeader, plainHeaders } from "./code"
import { protocolOf } from "./conversation"

const MASK = "***"
const WAIT = 10_000

/** Returns why a call cannot be sent again, or undefined if it can. */
export function explainNoReplay({ request }: Exchange): "truncated" | "signed" | undefined {
  if (request.truncated) return "truncated"
  const signed = request.headers.some(([name = ""]) => /^x-acs-/i.test(name)) || /(^|&)Signature=/i.test(request.query)
  return signed ? "signed" : undefined
}

/** Returns the credential that a call was made with, where the mock knew it from the start; else one of its kind. */
export function findCredential(exchange: Exchange, known: readonly Credential[]): Credential | undefined {
  const { key, explain, path } = exchange
  const kind = path.startsWith("/api/") ? "token" : "key"
  return (
    known.find(({ id }) => id !== null && id === explain.key_id) ??
    known.find((each) => each.kind === kind && each.label === key) ??
    known.find((each) => each.kind === kind)
  )
}

/** Sends a call again. Returns the id of its request, under which it stands in the list. Throws if it is broken off. */
export async function replayCall(exchange: Exchange, session: string, key: string): Promise<string> {
  const { method, path, request } = exchange
  const query = request.query.split("&").filter((part) => part !== "" && !part.endsWith(`=${MASK}`))
  const url = `${clientUrl(session)}${path}${query.length > 0 ? `?${query.join("&")}` : ""}`
  const headers = new Headers(plainHeaders(exchange))
  const own = keyHeader(exchange)
  const [name, value] = own ? [own[0], own[1] + key] : headerOf(protocolOf(exchange.operation) ?? "openai", key)
  if (key) headers.set(name, value)
  const answer = await fetch(url, { method, headers, ...writeBody(exchange) })
  // the answer is looked at in the list; it has to be read for the call to end
  answer.text().catch(() => {})
  return answer.headers.get("x-request-id") ?? answer.headers.get("request-id") ?? ""
}

function writeBody({ method, request }: Exchange): { body?: string } {
  const body: unknown = request.body
  if (method === "GET" || method === "HEAD" || body === null || body === undefined) return {}
  return { body: typeof body === "string" ? body : JSON.stringify(body) }
}

/** Waits until a call is in the list, and returns its key; undefined if it does not come. */
export function awaitCall(requestId: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let stop: () => void = () => {}
    const end = (key: string | undefined) => {
      clearTimeout(timer)
      resolve(key)
      queueMicrotask(() => stop())
    }
    const timer = setTimeout(() => end(undefined), WAIT)
    stop = effect(() => {
      void version.value
      const found = [...calls.entries].findLast(({ row }) => row.request_id === requestId)
      if (found) end(found.key)
    })
  })
}
