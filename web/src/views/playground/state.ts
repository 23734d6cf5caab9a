import { signal } from "@preact/signals"
import { type Model, sendCall } from "../../api/gateway"
import { type GatewayAnswer, type GatewayRequest, isStream, NO_ANSWER } from "../../api/gateway_call"
import { makeRequest, type Question } from "./request"

/** One call that was made here, and what has come of it so far. */
export interface Run {
  request: GatewayRequest
  answer: GatewayAnswer
}

export const question = signal<Question>({
  protocol: "openai",
  model: "",
  system: "",
  messages: [{ role: "user", text: "" }],
  tools: "",
  schema: "",
  stream: true,
  scenario: "",
})
export const models = signal<Model[]>([])
/** The calls of the last question: one, or the plain one behind the streamed one. */
export const runs = signal<Run[]>([])

let stopping = new AbortController()

export function change(part: Partial<Question>): void {
  question.value = { ...question.value, ...part }
}

export function modelsOf(protocol: string): string[] {
  return models.value.filter((each) => each.protocols.includes(protocol)).map((each) => each.id)
}

/** Returns the question with the model that is shown: the first one where none was chosen. */
export function chosenQuestion(): Question {
  const known = modelsOf(question.value.protocol)
  const { model } = question.value
  return { ...question.value, model: known.includes(model) ? model : (known[0] ?? model) }
}

export function stop(): void {
  stopping.abort()
}

/** Asks once for each of the given ways. Throws QuestionError. */
export async function ask(session: string, streams: readonly boolean[]): Promise<void> {
  const requests = streams.map((stream) => makeRequest({ ...chosenQuestion(), stream }))
  stop()
  const own = new AbortController()
  stopping = own
  const latest: Run[] = requests.map((request) => ({ request, answer: NO_ANSWER }))
  const show = () => {
    if (stopping === own) runs.value = [...latest]
  }
  // events come faster than anybody sees them
  const showSoon = onceAFrame(show)
  const report = (index: number, request: GatewayRequest) => (answer: GatewayAnswer) => {
    latest[index] = { request, answer }
    showSoon()
  }
  await Promise.all(requests.map((request, index) => sendCall(session, request, report(index, request), own.signal)))
  show()
}

function onceAFrame(action: () => void): () => void {
  let waiting = false
  return () => {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => {
      waiting = false
      action()
    })
  }
}

export const isRunning = (): boolean => runs.value.some(({ answer }) => answer.end === "running")

export const streams = ({ answer }: Run): boolean => isStream(answer)
