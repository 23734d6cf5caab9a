import { useEffect, useRef, useState } from "preact/hooks"
import { joinPieces } from "../../api/gateway_call"
import { formatCount, formatDuration } from "../../format"
import { Code } from "../../parts/code"
import { say } from "../../words"
import { EventTimeline, ROW_HEIGHT } from "../traffic/stream_tab"
import { readTiming } from "../traffic/timing"
import { toExchange } from "./request"
import { type Run, runs, streams } from "./state"

/** The bytes of the answer: events as they come, or the body. */
export function EventColumn() {
  return (
    <section class="column raw-column" aria-label={say("play.raw")}>
      <h2>{say("play.raw")}</h2>
      {runs.value.length === 0 && <p class="note">{say("play.no_events")}</p>}
      {runs.value.map((run, index) =>
        streams(run) ? <Events key={index} run={run} /> : <Body key={index} run={run} />,
      )}
    </section>
  )
}

function Events({ run }: { run: Run }) {
  const list = useRef<HTMLDivElement>(null)
  const [chosen, setChosen] = useState<number>()
  const exchange = toExchange(run.request, run.answer, true)
  const timing = readTiming(exchange)
  const count = timing.events.length
  const running = run.answer.end === "running"
  useEffect(() => setChosen(undefined), [run.request])
  useEffect(() => {
    if (running && chosen === undefined && list.current) list.current.scrollTop = count * ROW_HEIGHT
  }, [count, running, chosen])
  return (
    <div class="stream">
      <p class="note">
        {say("play.events", {
          count: formatCount(count),
          first: formatDuration(timing.first),
          gap: formatDuration(timing.longestGap?.gap ?? 0),
        })}
      </p>
      <EventTimeline
        exchange={exchange}
        timing={timing}
        list={list}
        chosen={chosen}
        chooseOnAxis={setChosen}
        chooseRow={setChosen}
      />
    </div>
  )
}

function Body({ run: { answer } }: { run: Run }) {
  const text = joinPieces(answer)
  if (answer.status === 0) return <p class="note">{say(answer.end === "running" ? "play.waiting" : "play.nothing")}</p>
  return (
    <div class="plain-body">
      <details>
        <summary>
          {answer.status} · {say("raw.headers")}
        </summary>
        <Code text={answer.headers.map(([name, value]) => `${name}: ${value}`).join("\n")} label={say("raw.headers")} />
      </details>
      <Code text={indentJson(text)} json label={say("raw.body")} />
    </div>
  )
}

function indentJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}
