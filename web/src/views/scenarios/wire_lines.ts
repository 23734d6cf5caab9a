import { showHidden } from "../../format"

const MOST_LINES = 60
const LONGEST = 180
const HEAD = 60
const TAIL = 100

/** Returns a line as it is shown: a long one loses its middle. */
export function shorten(line: string): string {
  return showHidden(line.length > LONGEST ? `${line.slice(0, HEAD)} … ${line.slice(-TAIL)}` : line)
}

/** Splits bytes into lines as a person sees them: carriage returns are shown. */
export function splitLines(text: string): string[] {
  const lines = text.replaceAll("\r", "␍").split(/\n|(?<=␍)(?!\n)/)
  const shown = lines.slice(0, MOST_LINES)
  return lines.length > MOST_LINES ? [...shown, `⋯ +${lines.length - MOST_LINES}`] : shown
}

/** Returns which lines of each are not in the longest sequence that both have; empty ones aside. */
export function compareLines(one: readonly string[], other: readonly string[]) {
  const lengths = measureCommon(one, other)
  const found = { one: new Set<number>(), other: new Set<number>() }
  const mark = (set: Set<number>, lines: readonly string[], index: number) => lines[index] && set.add(index)
  let i = 0
  let j = 0
  while (i < one.length || j < other.length) {
    if (i < one.length && one[i] === other[j]) {
      i++
      j++
    } else if (j >= other.length || (i < one.length && at(lengths, i + 1, j) >= at(lengths, i, j + 1))) {
      mark(found.one, one, i++)
    } else {
      mark(found.other, other, j++)
    }
  }
  return found
}

/** Returns how long the common sequence of the lines from `i` and from `j` on is. */
function measureCommon(one: readonly string[], other: readonly string[]): number[][] {
  const lengths = Array.from({ length: one.length + 1 }, () => new Array<number>(other.length + 1).fill(0))
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      const longest = Math.max(at(lengths, i + 1, j), at(lengths, i, j + 1))
      const row = lengths[i]
      if (row) row[j] = one[i] === other[j] ? at(lengths, i + 1, j + 1) + 1 : longest
    }
  }
  return lengths
}

const at = (lengths: readonly number[][], i: number, j: number): number => lengths[i]?.[j] ?? 0
