import { computed, signal } from "@preact/signals"
import { listSessions, queryJournal } from "../../api/client"
import { listen } from "../../api/events"
import type { ServerEvent } from "../../api/sse"
import type { Row } from "../../api/types"
import { addCosts } from "../../format"
import { changes, sessions } from "../../sessions"
import { type Filter, isBroken, matchRow, parseFilter } from "./filter"

const MOST = 10_000
const DROPPED = 1000
const SESSIONS = 50

/** A call in the list. The row is replaced when the call goes on. */
export interface Entry {
  readonly key: string
  row: Row
  /** Events and tokens so far, while its answer is being sent. */
  progress: { events: number; tokens: number } | null
}

export const keyOf = (session: string, number: number): string => `${session}/${number}`

/** Returns the session and the number in a key. */
export function splitKey(key: string): [string, number] {
  const at = key.lastIndexOf("/")
  return [key.slice(0, at), Number(key.slice(at + 1))]
}

/** Every call that the page knows, and those that the filter shows, in the order of their arrival. */
export class CallList {
  readonly #entries = new Map<string, Entry>()
  #filter: Filter = parseFilter("")
  #shown: Entry[] = []

  get shown(): readonly Entry[] {
    return this.#shown
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values()
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  /** Adds a call, or replaces its row. */
  put(row: Row): void {
    const key = keyOf(row.session, row.number)
    const known = this.#entries.get(key)
    if (known) {
      known.row = row
      if (!row.open) known.progress = null
      return
    }
    const entry: Entry = { key, row, progress: null }
    this.#entries.set(key, entry)
    if (matchRow(this.#filter, row)) this.#shown.push(entry)
    if (this.#entries.size > MOST + DROPPED) this.#drop()
  }

  follow(key: string, progress: { events: number; tokens: number }): void {
    const entry = this.#entries.get(key)
    if (entry?.row.open) entry.progress = progress
  }

  clear(): void {
    this.#entries.clear()
    this.#shown = []
  }

  filter(filter: Filter): void {
    this.#filter = filter
    this.#shown = [...this.#entries.values()].filter((entry) => matchRow(filter, entry.row))
  }

  #drop(): void {
    for (const key of [...this.#entries.keys()].slice(0, DROPPED)) this.#entries.delete(key)
    this.#shown = this.#shown.filter((entry) => this.#entries.has(entry.key))
  }
}

export const calls = new CallList()
/** Changes with every change of `calls`. */
export const version = signal(0)
export const paused = signal(false)
/** How many calls the list shows while new ones are held back; null shows all. */
export const held = signal<number | null>(null)
export const missed = signal(0)
export const loaded = signal(false)

/** The calls of the list, oldest first, and how many are held back. */
export const listed = computed(() => {
  void version.value
  const shown = calls.shown
  const count = held.value === null ? shown.length : Math.min(held.value, shown.length)
  return { count, waiting: shown.length - count }
})

export const totals = computed(() => {
  void version.value
  const rows = calls.shown.map((entry) => entry.row)
  return {
    calls: rows.length,
    broken: rows.filter(isBroken).length,
    damaged: rows.filter((row) => row.finding === "damaged").length,
    cost: addCosts(rows.map((row) => row.cost)),
  }
})

/** Holds new calls back, so that nothing moves, or lets them in. */
export function hold(wanted: boolean): void {
  if (!wanted && !paused.value) held.value = null
  else if (wanted && held.value === null) held.value = calls.shown.length
}

export function pause(wanted: boolean): void {
  paused.value = wanted
  held.value = wanted ? calls.shown.length : null
}

export function applyFilter(text: string): void {
  calls.filter(parseFilter(text))
  if (held.value !== null) held.value = calls.shown.length
  version.value++
}

let stop: () => void = () => {}

/** Reads the calls of a session, or of all, and follows them. Text is looked for by the server. */
export function watch(session: string, text: string): void {
  stop()
  calls.clear()
  loaded.value = false
  held.value = null
  version.value++
  const filters: Record<string, string> = { ...(session ? { session } : {}), ...(text ? { text } : {}) }
  let stopped = false
  const reload = () => read(session, text, () => stopped)
  // read once events come: what is called in between would be in neither
  const stopListening = listen(
    filters,
    (events) => take(events, reload),
    () => void reload(),
  )
  stop = () => {
    stopped = true
    stopListening()
  }
}

/** Stops following calls. */
export function unwatch(): void {
  stop()
  loaded.value = false
}

async function read(session: string, text: string, stopped: () => boolean): Promise<void> {
  const known = await listSessions()
  const names = session ? [session] : known.filter((each) => each.calls > 0).map((each) => each.name)
  const found = await Promise.all(names.slice(-SESSIONS).map((name) => queryJournal(name, text ? { text } : {})))
  if (stopped()) return
  const rows = found.flatMap((each) => each.reverse())
  for (const row of names.length > 1 ? rows.sort((one, other) => one.at.localeCompare(other.at)) : rows) calls.put(row)
  loaded.value = true
  version.value++
}

function take(events: readonly ServerEvent[], reload: () => Promise<void>): void {
  for (const event of events) takeEvent(event, reload)
  version.value++
}

function takeEvent(event: ServerEvent, reload: () => Promise<void>): void {
  const data = JSON.parse(event.data) as {
    session: string
    number: number
    events: number
    tokens: number
    count: number
  }
  if (event.name === "call.started" || event.name === "call.finished") {
    calls.put(JSON.parse(event.data) as Row)
    if (!sessions.value.some((each) => each.name === data.session)) changes.value++
  } else if (event.name === "call.progress") {
    calls.follow(keyOf(data.session, data.number), { events: data.events, tokens: data.tokens })
  } else if (event.name === "lost") {
    missed.value += data.count
    scheduleReload(reload)
  } else if (event.name === "journal") {
    calls.clear()
    void reload()
  } else {
    changes.value++
  }
}

let reloading: ReturnType<typeof setTimeout> | undefined

/** Reads the list again, at most once a second: calls that come too fast are lost all the time. */
function scheduleReload(reload: () => Promise<void>): void {
  if (reloading !== undefined) return
  reloading = setTimeout(() => {
    reloading = undefined
    void reload()
  }, 1000)
}
