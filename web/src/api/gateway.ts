import { signal } from "@preact/signals"
import { clientUrl, OWN_READ } from "./client"
import { type GatewayAnswer, type GatewayRequest, keyHeader, NO_ANSWER, type Piece } from "./gateway_call"
import { objectsOf, textOf } from "./types"

export interface Model {
  id: string
  protocols: string[]
}

const STORED = "aione-mock.key"
const DEMO_KEY = "sk-nex-demo-every-model"

/** The key of the calls that the page makes; kept for the tab. */
export const gatewayKey = signal(sessionStorage.getItem(STORED) ?? DEMO_KEY)

export function setGatewayKey(key: string): void {
  sessionStorage.setItem(STORED, key)
  gatewayKey.value = key
}

/** Returns the models that the gateway lists for the key. Throws its message where it refuses. */
export async function listModels(session: string): Promise<Model[]> {
  const [name, value] = keyHeader("openai", gatewayKey.value)
  const answer = await fetch(`${clientUrl(session)}/v1/models`, { headers: { ...OWN_READ, [name]: value } })
  const body = (await answer.json()) as { data?: unknown; error?: { message?: string } }
  if (!answer.ok) throw new Error(body.error?.message ?? `HTTP ${answer.status}`)
  return objectsOf(body.data).map((each) => ({
    id: textOf(each.id),
    protocols: Array.isArray(each.protocols) ? each.protocols.map(String) : [],
  }))
}

/** Sends a call and reports what comes of it, as it comes. Never throws: a broken answer is one too. */
export async function sendCall(
  session: string,
  request: GatewayRequest,
  report: (answer: GatewayAnswer) => void,
  stop: AbortSignal,
): Promise<GatewayAnswer> {
  const start = performance.now()
  const pieces: Piece[] = []
  let answer: GatewayAnswer = { ...NO_ANSWER, pieces }
  const change = (part: Partial<GatewayAnswer>) => {
    answer = { ...answer, ...part, duration: performance.now() - start }
    report(answer)
  }
  change({})
  try {
    const url = `${clientUrl(session)}${request.path}${request.query ? `?${request.query}` : ""}`
    const headers = new Headers([...request.headers, keyHeader(request.protocol, gatewayKey.value)])
    const found = await fetch(url, { method: "POST", headers, body: JSON.stringify(request.body), signal: stop })
    change({ status: found.status, headers: [...found.headers] })
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
    const reader = found.body?.getReader()
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      pieces.push({ at: performance.now() - start, text: decoder.decode(part.value, { stream: true }) })
      change({})
    }
    change({ end: "complete" })
  } catch {
    change({ end: stop.aborted ? "stopped" : "broken" })
  }
  return answer
}
