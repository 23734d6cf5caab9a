import type { Charts, Curve } from "../../api/modelrouter_calls"
import { type Line, lineColour } from "../../parts/line_chart"

/** Curves of means: the API sends 0 where there was no call to make one of. */
const MEANS: readonly Curve[] = ["successRate", "responseTime"]

/** The lines of a curve, in the order of its labels; means are not drawn where there was no call. */
export function readLines(charts: Charts, curve: Curve): { times: string[]; lines: Line[] } {
  const points = charts[curve]
  const quiet = new Set(
    MEANS.includes(curve) ? charts.callVolume.flatMap((each) => (each.value === 0 ? [keyOf(each)] : [])) : [],
  )
  const times = [...new Set(points.map((each) => each.timestamp))].sort()
  const labels = [...new Set(points.map((each) => each.label))]
  const values = new Map(points.map((each) => [keyOf(each), quiet.has(keyOf(each)) ? null : each.value]))
  const lines = labels.map((label, index) => ({
    label,
    colour: lineColour(index),
    values: times.map((timestamp) => values.get(keyOf({ label, timestamp })) ?? null),
  }))
  return { times, lines }
}

const keyOf = ({ label, timestamp }: { label: string; timestamp: string }) => `${timestamp}\n${label}`

export interface CurveRow {
  timestamp: string
  label: string
  figures: Record<string, number>
}

/** Returns the figures of all curves side by side, but for times at which all of a label's are 0. */
export function listFigures(charts: Charts): CurveRow[] {
  const rows = new Map<string, CurveRow>()
  for (const [curve, points] of Object.entries(charts)) {
    for (const { timestamp, label, value } of points) {
      const key = keyOf({ timestamp, label })
      const row = rows.get(key) ?? { timestamp, label, figures: {} }
      row.figures[curve] = value
      rows.set(key, row)
    }
  }
  return [...rows.values()]
    .filter(({ figures }) => Object.values(figures).some((value) => value !== 0))
    .sort((a, b) => a.timestamp.localeCompare(b.timestamp) || a.label.localeCompare(b.label))
}
