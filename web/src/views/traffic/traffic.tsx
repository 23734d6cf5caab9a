import { useEffect, useRef, useState } from "preact/hooks"
import { clientUrl } from "../../api/client"
import { connected } from "../../api/events"
import { onKeys } from "../../keys"
import { CopyButton } from "../../parts/copy"
import { go, route } from "../../route"
import { DEFAULT_SESSION } from "../../sessions"
import { say } from "../../words"
import type { DialogName } from "./call_actions"
import {
  applyFilter,
  calls,
  held,
  hold,
  listed,
  loaded,
  missed,
  pause,
  paused,
  totals,
  unwatch,
  version,
  watch,
} from "./calls"
import { chooseTab, Detail } from "./detail"
import { addTerm, parseFilter } from "./filter"
import { List, neighbour } from "./list"
import { SaveMenu } from "./save_menu"

const SEARCH_DELAY = 300

/** What applications ask, as they ask it. */
export function Traffic() {
  const list = useRef<HTMLDivElement>(null)
  const input = useRef<HTMLInputElement>(null)
  const [dialog, open] = useState<DialogName | undefined>(() => (route.peek().item ? "compare" : undefined))
  const { session, filter, call } = route.value
  const text = parseFilter(filter).text
  useEffect(() => {
    const waiting = setTimeout(() => watch(session, text), loaded.value ? SEARCH_DELAY : 0)
    return () => clearTimeout(waiting)
  }, [session, text])
  useEffect(() => unwatch, [])
  useEffect(() => applyFilter(filter), [filter])
  const openFor = (name: DialogName) => open(route.value.call ? name : undefined)
  useEffect(
    () =>
      onKeys({
        j: () => select(1),
        k: () => select(-1),
        ArrowDown: () => select(1),
        ArrowUp: () => select(-1),
        Enter: () => document.getElementById("tab-panel")?.focus(),
        Escape: () => go({ call: "", tab: "" }),
        "/": () => input.current?.focus(),
        p: () => pause(!paused.value),
        r: () => openFor("rule"),
        t: () => openFor("test"),
        c: () => openFor("compare"),
        e: () => openFor("replay"),
        1: () => chooseTab(0),
        2: () => chooseTab(1),
        3: () => chooseTab(2),
        4: () => chooseTab(3),
        5: () => chooseTab(4),
      }),
    [],
  )
  const showNewest = () => {
    if (list.current) list.current.scrollTop = 0
    if (paused.value) pause(false)
    else hold(false)
  }
  return (
    <main class={call ? "traffic with-detail" : "traffic"}>
      <h1 class="hidden">{say("view.traffic")}</h1>
      <div class="bar">
        <input
          ref={input}
          type="search"
          class="filter"
          aria-label={say("list.filter")}
          placeholder={say("list.filter_hint")}
          value={filter}
          onInput={(event) => go({ filter: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key === "Escape" || event.key === "Enter") event.currentTarget.blur()
          }}
        />
        <Live showNewest={showNewest} />
        <Totals />
      </div>
      {missed.value > 0 && (
        <p class="notice" role="status">
          {say("live.missed", { count: missed.value })}
          <button
            type="button"
            class="quiet"
            onClick={() => {
              missed.value = 0
            }}
          >
            ✕
          </button>
        </p>
      )}
      <div class="split">
        <div class="list">
          <Columns />
          <List element={list} />
          <Empty />
        </div>
        {call && <Detail dialog={dialog} open={open} />}
      </div>
    </main>
  )
}

function select(by: number): void {
  const entry = neighbour(by)
  if (entry) go({ call: entry.key })
}

/** Whether the list follows, how many calls wait, and the switch between the two. */
function Live({ showNewest }: { showNewest: () => void }) {
  const state = !connected.value ? "lost" : paused.value ? "paused" : "live"
  const { waiting } = listed.value
  return (
    <div class="live">
      <span class={`state ${state}`} role="status">
        {say(`live.${state}`)}
      </span>
      <button type="button" class="quiet" onClick={() => pause(!paused.value)}>
        {say(paused.value ? "live.resume" : "live.pause")}
      </button>
      {held.value !== null && waiting > 0 && (
        <button type="button" class="action" onClick={showNewest}>
          {say("live.new", { count: waiting })}
        </button>
      )}
    </div>
  )
}

/** Sums over the calls that are shown; each leads to the calls that it counts. */
function Totals() {
  const { calls: count, broken, damaged, cost } = totals.value
  const filter = (change: string) => go({ filter: change })
  const add = (term: string) => filter(addTerm(route.value.filter, term))
  return (
    <div class="totals">
      <button type="button" class="quiet" onClick={() => filter("")}>
        {count === 1 ? say("list.call") : say("list.calls", { count })}
      </button>
      {broken > 0 && (
        <button type="button" class="quiet broken" title={say("list.broken_hint")} onClick={() => add("is:broken")}>
          {say("list.broken", { count: broken })}
        </button>
      )}
      {damaged > 0 && (
        <button
          type="button"
          class="quiet damaged"
          title={say("list.damaged_hint")}
          onClick={() => add("finding:damaged")}
        >
          {say("list.damaged", { count: damaged })}
        </button>
      )}
      <button type="button" class="quiet" title={say("list.cost_hint")} onClick={() => add("is:charged")}>
        {say("list.cost", { cost })}
      </button>
      <SaveMenu session={route.value.session || DEFAULT_SESSION} />
    </div>
  )
}

const COLUMNS = ["time", "operation", "model", "status", "tokens", "first", "total", "cost", "why"] as const

function Columns() {
  return (
    <div class="columns" aria-hidden="true">
      {COLUMNS.map((name) => (
        <span key={name} class={name}>
          {say(`column.${name}`)}
        </span>
      ))}
    </div>
  )
}

/** What to do next where there is nothing to see. */
function Empty() {
  void version.value
  if (!loaded.value || calls.shown.length > 0) return null
  if (calls.size > 0 || parseFilter(route.value.filter).text) {
    return (
      <div class="empty">
        <p>{say("list.none_match")}</p>
        <button type="button" class="action" onClick={() => go({ filter: "" })}>
          {say("list.show_all")}
        </button>
      </div>
    )
  }
  return <Start />
}

const CLIENTS = [
  ["OpenAI", "/v1"],
  ["Anthropic", ""],
  ["Gemini", ""],
  ["Console", "/api/v1"],
  ["ModelRouter", ""],
] as const

/** The base URLs of all clients, and a first call to try. */
function Start() {
  const base = clientUrl(route.value.session)
  const example = `curl ${base}/v1/chat/completions -H 'Authorization: Bearer sk-nex-demo-every-model' -H 'Content-Type: application/json' -d '{"model": "gpt-5.4", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'`
  return (
    <div class="empty start">
      <h2>{say("start.title")}</h2>
      <p>{say("start.text")}</p>
      <table>
        <tbody>
          {CLIENTS.map(([name, path]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>
                <code>{base + path}</code>
              </td>
              <td>
                <CopyButton text={base + path} label={`${say("copy.copy")}: ${name}`} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>{say("start.try")}</p>
      <pre class="said">{example}</pre>
      <CopyButton text={example} label={`${say("copy.copy")}: curl`} />
    </div>
  )
}
