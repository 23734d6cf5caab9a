/** Returns a duration in milliseconds as people read it: `3 ms`, `0.31 s`, `12.4 s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0 ms"
  if (ms < 1) return "<1 ms"
  if (ms < 100) return `${Math.round(ms)} ms`
  if (ms < 10_000) return `${(ms / 1000).toFixed(2)} s`
  return `${(ms / 1000).toFixed(1)} s`
}

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })
const DAY = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" })

export function formatTime(instant: string): string {
  return TIME.format(new Date(instant))
}

export function formatInstant(instant: string): string {
  const at = new Date(instant)
  return `${DAY.format(at)} ${TIME.format(at)}`
}

/** Returns a number with a thin space between thousands. */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009")
}

const DECIMALS = 10_000

/** Returns a cost, which is decimal text, with all four decimals. */
export function formatCost(cost: string): string {
  return Number(cost) === 0 ? "0" : Number(cost).toFixed(4)
}

/** Adds costs, which are decimal text, without the errors of floating point. */
export function addCosts(costs: readonly (string | null)[]): string {
  const ticks = costs.reduce((sum, cost) => sum + (cost === null ? 0 : Math.round(Number(cost) * DECIMALS)), 0)
  return (ticks / DECIMALS).toFixed(4)
}

/** Characters that nobody sees, besides those that JSON escapes. */
const UNSAFE = /[\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Writes a value as JSON in which nothing is hidden; JavaScript and Python read its texts as they are too. */
export function toJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent) ?? "null"
  return text.replace(UNSAFE, escapeUnicode)
}

const escapeUnicode = (found: string): string => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`

const LOW = "\\u0000-\\u0008\\u000b-\\u001f"
const CONTROLS = new RegExp(`[${LOW}]`, "g")

/** Writes a text as one word of a POSIX shell; of Bash where characters in it are hidden. */
export function toShell(text: string): string {
  const plain = `'${text.replaceAll("'", "'\\''")}'`
  if (plain.replace(UNSAFE, "").replace(CONTROLS, "") === plain) return plain
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")
  return `$'${escaped.replace(UNSAFE, escapeUnicode).replace(CONTROLS, escapeUnicode)}'`
}

const BIDI = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff"
const HIDDEN = new RegExp(`[${LOW}\\u007f-\\u009f${BIDI}]`, "g")

/** Shows characters that would move the cursor or turn the text around as what they are. */
export function showHidden(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(HIDDEN, (found) => {
    const code = found.codePointAt(0) ?? 0
    if (code < 0x20) return String.fromCodePoint(0x2400 + code)
    return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`
  })
}
