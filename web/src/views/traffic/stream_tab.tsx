import type { RefObject } from "preact"
import { useRef, useState } from "preact/hooks"
import type { CallContent, Exchange } from "../../api/types"
import { formatCount, formatDuration, showHidden } from "../../format"
import { revealRow, VirtualList } from "../../parts/virtual_list"
import { say } from "../../words"
import { readTiming, type TimedEvent, type Timing } from "./timing"

export const ROW_HEIGHT = 24
const WIDTH = 1000
const HEIGHT = 44

/** The events of a stream along time, and one by one. */
export function StreamTab({ exchange }: { exchange: Exchange }) {
  const [chosen, setChosen] = useState(0)
  const list = useRef<HTMLDivElement>(null)
  if (!exchange.stream) return <p class="note">{say("stream.none", { total: formatDuration(exchange.duration_ms) })}</p>
  const timing = readTiming(exchange)
  const choose = (index: number) => {
    setChosen(index)
    revealRow(list.current, index, ROW_HEIGHT)
  }
  return (
    <div class="stream">
      <Figures exchange={exchange} timing={timing} />
      <EventTimeline
        exchange={exchange}
        timing={timing}
        list={list}
        chosen={chosen}
        chooseOnAxis={choose}
        chooseRow={setChosen}
      />
    </div>
  )
}

interface EventTimelineProps {
  exchange: CallContent
  timing: Timing
  list: RefObject<HTMLDivElement | null>
  chosen: number | undefined
  chooseOnAxis: (index: number) => void
  chooseRow: (index: number) => void
}

/** The events of a stream on an axis and in a list, and the bytes of the chosen one. */
export function EventTimeline({ exchange, timing, list, chosen, chooseOnAxis, chooseRow }: EventTimelineProps) {
  return (
    <>
      <Axis exchange={exchange} timing={timing} chosen={chosen ?? -1} choose={chooseOnAxis} />
      <VirtualList
        element={list}
        count={timing.events.length}
        rowHeight={ROW_HEIGHT}
        attributes={{ class: "events", role: "listbox", tabIndex: 0, "aria-label": say("stream.list") }}
        renderRow={(index) => {
          const event = timing.events[index]
          return (
            event && (
              <EventRow
                key={index}
                event={event}
                longest={event.gap > 0 && event.at === timing.longestGap?.at}
                chosen={index === chosen}
                choose={() => chooseRow(index)}
              />
            )
          )
        }}
      />
      <EventBytes event={chosen === undefined ? undefined : timing.events[chosen]} />
    </>
  )
}

function Figures({ exchange, timing }: { exchange: Exchange; timing: Timing }) {
  const broken = exchange.response.end !== "finish"
  return (
    <dl class="figures">
      <Figure name={say("stream.first")} value={formatDuration(timing.first)} />
      <Figure
        name={say("stream.speed")}
        value={timing.tokensPerSecond === undefined ? "—" : timing.tokensPerSecond.toFixed(1)}
      />
      <Figure name={say("stream.gap")} value={timing.longestGap ? formatDuration(timing.longestGap.gap) : "—"} />
      <Figure name={say("stream.events")} value={formatCount(timing.events.length)} />
      <Figure name={say("stream.end")} value={say(`stream.end_${exchange.response.end}`)} fault={broken} />
    </dl>
  )
}

function Figure({ name, value, fault = false }: { name: string; value: string; fault?: boolean }) {
  return (
    <div class={fault ? "fault" : ""}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}

interface AxisProps {
  exchange: CallContent
  timing: Timing
  chosen: number
  choose: (index: number) => void
}

/** Time as space: a line for each event, amber where it was damaged. A click chooses the event nearest to it. */
export function Axis({ exchange, timing, chosen, choose }: AxisProps) {
  if (timing.end === 0) return <p class="note">{say("stream.instant")}</p>
  const x = (at: number) => (at / timing.end) * WIDTH
  const pick = (event: MouseEvent & { currentTarget: Element }) => {
    const box = event.currentTarget.getBoundingClientRect()
    const at = ((event.clientX - box.left) / box.width) * timing.end
    const nearest = timing.events.reduce((best, each) =>
      Math.abs(each.at - at) < Math.abs(best.at - at) ? each : best,
    )
    choose(nearest.number - 1)
  }
  const current = timing.events[chosen]
  const broken = exchange.response.end !== "finish"
  return (
    <figure class="axis">
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the list below does the same by keyboard */}
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={say("stream.axis")}
        onClick={pick}
      >
        <line class="base" x1="0" y1={HEIGHT - 8} x2={WIDTH} y2={HEIGHT - 8} />
        <rect class="wait" x="0" y={HEIGHT - 12} width={x(timing.first)} height="8" />
        {timing.longestGap && (
          <rect
            class="gap"
            x={x(timing.longestGap.at - timing.longestGap.gap)}
            y={HEIGHT - 12}
            width={x(timing.longestGap.gap)}
            height="8"
          />
        )}
        {timing.events.map((event) => (
          <line
            key={event.number}
            class={event.violations.length > 0 ? "tick fault" : "tick"}
            x1={x(event.at)}
            x2={x(event.at)}
            y1="10"
            y2={HEIGHT - 8}
          />
        ))}
        {broken && <line class="tick fault end" x1={WIDTH - 1} x2={WIDTH - 1} y1="0" y2={HEIGHT} />}
        {current && <line class="tick chosen" x1={x(current.at)} x2={x(current.at)} y1="2" y2={HEIGHT} />}
      </svg>
      <figcaption>
        <span>0 ms</span>
        <span>{formatDuration(timing.end)}</span>
      </figcaption>
    </figure>
  )
}

interface EventProps {
  event: TimedEvent
  longest: boolean
  chosen: boolean
  choose: () => void
}

function EventRow({ event, longest, chosen, choose }: EventProps) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the rows only repeat what the raw answer shows
    <div
      class={`event${event.violations.length > 0 ? " fault" : ""}`}
      role="option"
      tabIndex={-1}
      aria-selected={chosen}
      style={{ transform: `translateY(${(event.number - 1) * ROW_HEIGHT}px)` }}
      title={event.violations.join("\n")}
      onClick={choose}
    >
      <span class="number">#{event.number}</span>
      <span class="at">+{formatDuration(event.at)}</span>
      <span class={longest ? "since longest" : "since"}>+{formatDuration(event.gap)}</span>
      <span class="piece">{showHidden(event.said)}</span>
      <span class="data">{showHidden(event.text.trim().slice(0, 400)).replaceAll("\n", " ⏎ ")}</span>
    </div>
  )
}

/** The bytes of one event, whole, and what is wrong with it. */
function EventBytes({ event }: { event: TimedEvent | undefined }) {
  if (!event) return null
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section class="bytes" tabIndex={0} aria-label={`#${event.number}`}>
      <p class="note">
        #{event.number} · {say("stream.bytes", { count: formatCount(new TextEncoder().encode(event.text).length) })}
      </p>
      {event.violations.map((message) => (
        <p key={message} class="fault">
          {showHidden(message)}
        </p>
      ))}
      <pre class="said">{showHidden(event.text)}</pre>
    </section>
  )
}
