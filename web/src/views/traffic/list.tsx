import type { RefObject } from "preact"
import { memo } from "preact/compat"
import { useEffect, useLayoutEffect } from "preact/hooks"
import { modelOf, type Row } from "../../api/types"
import { formatCost, formatCount, formatDuration, formatTime, showHidden } from "../../format"
import { revealRow, VirtualList } from "../../parts/virtual_list"
import { go, route } from "../../route"
import { say } from "../../words"
import { calls, type Entry, hold, listed, paused } from "./calls"

export const ROW_HEIGHT = 28

/** Calls, newest first. While it is scrolled, new ones wait, so that nothing moves under the cursor. */
export function List({ element }: { element: RefObject<HTMLDivElement | null> }) {
  const { count } = listed.value
  const selected = route.value.call
  const newest = calls.shown
  const indexOf = (key: string) => {
    for (let index = 0; index < count; index++) if (newest[count - 1 - index]?.key === key) return index
    return -1
  }
  useLayoutEffect(() => revealRow(element.current, indexOf(selected), ROW_HEIGHT), [selected])
  useEffect(() => () => hold(false), [])
  return (
    <VirtualList
      element={element}
      count={count}
      rowHeight={ROW_HEIGHT}
      onScroll={(top) => {
        if (!paused.value) hold(top > ROW_HEIGHT / 2)
      }}
      attributes={{
        class: "calls",
        role: "listbox",
        tabIndex: 0,
        id: "calls",
        "aria-label": say("list.label"),
        "aria-activedescendant": selected ? rowId(selected) : undefined,
      }}
      renderRow={(index) => {
        const entry = newest[count - 1 - index]
        if (!entry) return null
        return (
          <CallRow
            key={entry.key}
            id={entry.key}
            row={entry.row}
            events={entry.progress?.events}
            tokens={entry.progress?.tokens}
            top={index * ROW_HEIGHT}
            odd={(count - index) % 2 === 1}
            selected={entry.key === selected}
          />
        )
      }}
    />
  )
}

export const rowId = (key: string): string => `call-${key.replace("/", "-")}`

/** Returns the key of the call that lies `by` rows below the selected one, or at the top. */
export function neighbour(by: number): Entry | undefined {
  const { count } = listed.value
  const at = calls.shown.findLastIndex((entry, index) => index < count && entry.key === route.value.call)
  const next = at < 0 ? count - 1 : at - by
  return calls.shown[Math.min(Math.max(next, 0), count - 1)]
}

interface RowProps {
  id: string
  row: Row
  events: number | undefined
  tokens: number | undefined
  top: number
  odd: boolean
  selected: boolean
}

const CallRow = memo(function CallRow({ id, row, events, tokens, top, selected }: RowProps) {
  return (
    // the list handles keys for all of its rows
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    <div
      class={`call${row.open ? " open" : ""}`}
      role="option"
      aria-selected={selected}
      tabIndex={-1}
      id={rowId(id)}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => go({ call: id })}
    >
      <span class="time">{formatTime(row.at)}</span>
      <span class={row.operation ? "operation" : "operation unknown"}>
        {row.operation ?? `${row.method} ${showHidden(row.path)}`}
      </span>
      <span class="model">{showHidden(modelOf(row))}</span>
      <span class="marks">
        {row.stream && <Mark name="streams" sign="⇶" />}
        {row.finding === "damaged" && <Mark name="damaged" sign="⚡" />}
      </span>
      <span class={`status s${row.status > 0 ? String(row.status)[0] : "0"}`}>{row.status || "—"}</span>
      <span class="tokens" title={say("list.tokens_hint")}>
        {formatTokens(row, tokens)}
      </span>
      <span class="first">{row.first_event_ms === null ? "" : formatDuration(row.first_event_ms)}</span>
      <span class="total">
        {row.open ? <Progress events={events ?? 0} of={row.events} /> : formatDuration(row.duration_ms)}
      </span>
      <span class="cost">{row.cost === null ? "" : formatCost(row.cost)}</span>
      <span class="why">{describeCause(row)}</span>
    </div>
  )
})

function Mark({ name, sign }: { name: "streams" | "damaged"; sign: string }) {
  const label = name === "streams" ? say("row.streams") : say("finding.damaged")
  return (
    <span class={`mark ${name}`} role="img" aria-label={label} title={label}>
      {sign}
    </span>
  )
}

function Progress({ events, of }: { events: number; of: number }) {
  return (
    <span class="progress" role="img" aria-label={say("row.progress", { events, of })}>
      <span style={{ width: `${of > 0 ? (100 * events) / of : 0}%` }} />
    </span>
  )
}

function formatTokens(row: Row, sofar: number | undefined): string {
  if (!row.usage) return ""
  return `${formatCount(row.usage.prompt)} → ${row.open ? formatCount(sofar ?? 0) : formatCount(row.usage.completion)}`
}

/** Returns in a few words why the answer is what it is; nothing for an ordinary one. */
export function describeCause(row: Row): string {
  if (row.limit) return showHidden(row.limit)
  if (row.scenario) return row.rule && row.rule !== "header" ? `${row.rule}: ${row.scenario}` : row.scenario
  if (row.rule) return say("row.rule", { id: row.rule })
  return row.finding ? say(`finding.${row.finding}`) : (row.error ?? "")
}
