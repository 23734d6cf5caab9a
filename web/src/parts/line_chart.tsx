import { useState } from "preact/hooks"
import uPlot from "uplot"
import { formatInstant } from "../format"
import { baseOptions, usePlot } from "./chart"

export interface Line {
  label: string
  colour: string
  /** Null where there is nothing to draw. */
  values: readonly (number | null)[]
}

interface Props {
  title: string
  /** Instants, ascending. */
  times: readonly string[]
  /** A line each, with a value for every instant. */
  lines: readonly Line[]
}

const TURN = 137.5
const DAY = 86_400

/** Returns a colour for each line that can be told from those before it, on light and on dark. */
export function lineColour(index: number): string {
  return `hsl(${(235 + index * TURN) % 360} 60% 55%)`
}

/** Lines along time. What is written is the figures as they came. */
export function LineChart({ title, times, lines }: Props) {
  const [at, setAt] = useState<number | null>(null)
  const element = usePlot((parent) => draw(parent, times, lines, setAt), [times, lines])
  const instant = at === null ? undefined : times[at]
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <strong>{instant && formatInstant(instant)}</strong>
      </figcaption>
      <div ref={element} aria-hidden="true" class="plot" />
      <p class="note pointed">
        {at !== null &&
          lines
            .filter(({ values }) => values[at])
            .map(({ label, values }) => `${label} ${values[at]}`)
            .join(" · ")}
      </p>
    </figure>
  )
}

function draw(
  parent: HTMLElement,
  times: readonly string[],
  lines: readonly Line[],
  point: (index: number | null) => void,
): uPlot {
  const { axis, figures, ...base } = baseOptions(parent, point)
  const seconds = times.map((time) => Date.parse(time) / 1000)
  const days = ((seconds.at(-1) ?? 0) - (seconds[0] ?? 0)) / DAY
  const options: uPlot.Options = {
    ...base,
    scales: { y: { range: (_, __, most) => [0, most || 1] } },
    axes: [{ ...axis, space: 64, values: (_, at) => at.map((second) => writeTime(second, days > 2)) }, figures],
    series: [
      {},
      ...lines.map(({ colour }) => ({ stroke: colour, width: 1.5, spanGaps: true, points: { show: false } })),
    ],
  }
  return new uPlot(options, [seconds, ...lines.map(({ values }) => [...values])], parent)
}

/** Writes an instant as short as an axis needs it: month and day, or hour and minute. */
function writeTime(second: number, isLong: boolean): string {
  const written = formatInstant(new Date(second * 1000).toISOString())
  return isLong ? written.slice(5, 10) : written.slice(11, 16)
}
