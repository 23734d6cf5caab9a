import { useEffect, useState } from "preact/hooks"
import { listModels, sendCall } from "../../api/gateway"
import { type GatewayAnswer, type GatewayRequest, joinPieces } from "../../api/gateway_call"
import { createSession, deleteSession } from "../../api/sessions"
import type { Scenario } from "../../api/types"
import { formatCount, formatDuration } from "../../format"
import { Code } from "../../parts/code"
import { say, translateScenario } from "../../words"
import { makeRequest, type Question, toExchange } from "../playground/request"
import { readConversation } from "../traffic/conversation"
import { Answers } from "../traffic/conversation_tab"
import { Axis } from "../traffic/stream_tab"
import { readTiming } from "../traffic/timing"
import { findOutcomes } from "./client_table"
import { chosenText, Options } from "./options"
import { errors } from "./state"
import { compareLines, shorten, splitLines } from "./wire_lines"

const SESSION = "page-preview"
const LONGEST_WAIT = 5000
const QUESTION: Omit<Question, "model" | "stream" | "scenario"> = {
  protocol: "openai",
  system: "",
  messages: [{ role: "user", text: "Name three lamps." }],
  tools: "",
  schema: "",
}

const TRIP = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
}
const TOOLS = [{ name: "plan_trip", description: "Plan a trip.", parameters: TRIP }]

/** Returns the question of a preview, with what the scenario needs. */
function askFor({ needs }: Scenario, model: string, stream: boolean, text: string): GatewayRequest {
  const tools = needs === "tools" ? JSON.stringify(TOOLS) : ""
  const schema = needs === "schema" ? JSON.stringify(TRIP) : ""
  const request = makeRequest({ ...QUESTION, tools, schema, model, stream, scenario: text })
  return needs === "thinking" ? { ...request, body: { ...request.body, reasoning_effort: "low" } } : request
}

/** What a scenario does: its options, the bytes with and without it, and what official clients make of it. */
export function Effect({ scenario }: { scenario: Scenario }) {
  return (
    <section class="effect" aria-label={scenario.name}>
      <h2>
        <code>{scenario.name}</code> · {translateScenario(scenario.title)}
      </h2>
      <p class="note">
        {say(`scenarios.applies_${scenario.applies_to}`)}
        {scenario.needs && ` · ${say(`scenarios.needs_${scenario.needs}`)}`}
      </p>
      <Options scenario={scenario} />
      {scenario.kind === "error" ? <ErrorBytes name={scenario.name} /> : <Preview scenario={scenario} />}
      <Clients name={scenario.name} />
    </section>
  )
}

/** The answer of an error in each protocol that has it. */
function ErrorBytes({ name }: { name: string }) {
  return (
    <>
      {errors.value
        .filter((each) => each.name === name)
        .map(({ dialect, status, headers, body }) => (
          <section key={dialect} class="wire" aria-label={dialect}>
            <h3>
              {dialect} · {status}
            </h3>
            <Code
              label={`${dialect} ${status}`}
              json
              text={[
                ...Object.entries(headers).map(([key, value]) => `${key}: ${value}`),
                JSON.stringify(body, null, 2),
              ].join("\n")}
            />
          </section>
        ))}
    </>
  )
}

interface Played {
  before?: GatewayAnswer
  after?: GatewayAnswer
}

/** Plays the scenario to a call of the page's own, in a session that is made for it, and shows what arrives. */
function Preview({ scenario }: { scenario: Scenario }) {
  const [played, setPlayed] = useState<Played>()
  const [failure, setFailure] = useState("")
  const [stopping, setStopping] = useState<AbortController>()
  const pace = scenario.kind === "pace"
  useEffect(() => () => stopping?.abort(), [stopping])
  const play = async () => {
    const own = new AbortController()
    setStopping(own)
    setFailure("")
    try {
      const found: Played = {}
      const stream = scenario.applies_to !== "plain"
      const now = new Date().toISOString()
      const run = (text: string, report: (answer: GatewayAnswer) => void) =>
        playOnce((model) => askFor(scenario, model, stream, text), now, report, own)
      if (!pace) found.before = await run("", () => {})
      await run(chosenText(scenario), (after) => setPlayed({ ...found, after }))
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <>
      <button type="button" class="action" onClick={() => void play()}>
        {say(pace ? "scenarios.preview" : "scenarios.show")}
      </button>
      {failure && (
        <p class="message failed" role="alert">
          {failure}
        </p>
      )}
      {played?.after && (pace ? <PaceResult answer={played.after} /> : <Wires played={played} />)}
    </>
  )
}

async function playOnce(
  ask: (model: string) => GatewayRequest,
  now: string,
  report: (answer: GatewayAnswer) => void,
  own: AbortController,
): Promise<GatewayAnswer> {
  // a world of its own, at the same instant: what differs is the scenario's doing
  await deleteSession(SESSION).catch(() => {})
  await createSession({ name: SESSION, now, frozen: true })
  const watch = new AbortController()
  const limit = setTimeout(() => watch.abort(), LONGEST_WAIT)
  try {
    const [model] = await listModels(SESSION)
    return await sendCall(SESSION, ask(model?.id ?? ""), report, AbortSignal.any([watch.signal, own.signal]))
  } finally {
    clearTimeout(limit)
    await deleteSession(SESSION).catch(() => {})
  }
}

function PaceResult({ answer }: { answer: GatewayAnswer }) {
  const request = makeRequest({ ...QUESTION, model: "", stream: true, scenario: "" })
  const exchange = toExchange(request, answer, true)
  const timing = readTiming(exchange)
  return (
    <section class="wire" aria-label={say("scenarios.preview_result")}>
      <p class="note">
        <Summary answer={answer} /> · {say("scenarios.first", { first: formatDuration(timing.first) })}
      </p>
      {timing.events.length > 0 && <Axis exchange={exchange} timing={timing} chosen={-1} choose={() => {}} />}
      {timing.events.length > 0 && <Answers exchange={exchange} answers={readConversation(exchange)?.answers ?? []} />}
    </section>
  )
}

function Wires({ played: { before, after } }: { played: Played }) {
  const one = splitLines(before ? joinPieces(before) : "")
  const other = splitLines(after ? joinPieces(after) : "")
  const marks = compareLines(one, other)
  return (
    <div class="wires">
      {before && <Wire name={say("scenarios.without")} answer={before} lines={one} marked={marks.one} />}
      {after && <Wire name={say("scenarios.with")} answer={after} lines={other} marked={marks.other} />}
    </div>
  )
}

interface WireProps {
  name: string
  answer: GatewayAnswer
  lines: string[]
  marked: ReadonlySet<number>
}

function Wire({ name, answer, lines, marked }: WireProps) {
  const type = answer.headers.find(([header]) => header === "content-type")?.[1]
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section class="wire" aria-label={name} tabIndex={0}>
      <h3>{name}</h3>
      <p class="note">
        <Summary answer={answer} />
        {type && ` · ${type}`}
      </p>
      <pre>
        {lines.map((line, index) => (
          <span key={index} class={marked.has(index) ? "line differs" : "line"}>
            {shorten(line) || " "}
          </span>
        ))}
      </pre>
    </section>
  )
}

function Summary({ answer }: { answer: GatewayAnswer }) {
  const bytes = new TextEncoder().encode(joinPieces(answer)).length
  return (
    <>
      {answer.status || "–"} · {say("scenarios.bytes", { bytes: formatCount(bytes), pieces: answer.pieces.length })} ·{" "}
      {formatDuration(answer.duration)} ·{" "}
      {say(answer.end === "stopped" ? "scenarios.given_up" : `play.end_${answer.end}`)}
    </>
  )
}

/** What official clients make of it, as measured for the pages of docs/. */
function Clients({ name }: { name: string }) {
  const rows = findOutcomes(name)
  if (rows.length === 0) return null
  return (
    <section class="clients" aria-label={say("scenarios.clients")}>
      <h3>{say("scenarios.clients")}</h3>
      {rows.map((row) => (
        <dl key={`${row.answers} ${row.scenario}`}>
          <dt>
            <code>{row.scenario}</code> · {row.answers}
          </dt>
          {row.outcomes.map(({ client, outcome }) => (
            <dd key={client}>
              <b>{client}</b> {outcome}
            </dd>
          ))}
        </dl>
      ))}
    </section>
  )
}
