import { useEffect, useRef, useState } from "preact/hooks"
import uPlot from "uplot"
import "uplot/dist/uPlot.min.css"

const HEIGHT = 140
const NARROWEST = 120

interface Props {
  /** What the bars are, with their unit. */
  title: string
  labels: readonly string[]
  /** The figures as they are shown. */
  figures: readonly string[]
  /** What stands beside the title while no bar is pointed at. */
  total: string
}

/** Draws a chart in the element that the reference is given to, as wide as it is, and again when `inputs` change. */
export function usePlot(draw: (parent: HTMLElement) => uPlot, inputs: readonly unknown[]) {
  const element = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const parent = element.current
    if (!parent) return undefined
    const chart = draw(parent)
    const observer = new ResizeObserver(() => chart.setSize({ width: widthOf(parent), height: HEIGHT }))
    observer.observe(parent)
    const dark = matchMedia("(prefers-color-scheme: dark)")
    const redraw = () => chart.redraw()
    dark.addEventListener("change", redraw)
    return () => {
      observer.disconnect()
      dark.removeEventListener("change", redraw)
      chart.destroy()
    }
  }, inputs)
  return element
}

/** What the charts have in common: their size, their colours, the axis of figures, and no help but the cursor. */
export function baseOptions(parent: HTMLElement, point: (index: number | null) => void) {
  const axis = { stroke: colourOf(parent, "--soft"), font: "11px system-ui", ticks: { show: false } }
  const figures: uPlot.Axis = {
    ...axis,
    size: 48,
    space: 32,
    grid: { stroke: colourOf(parent, "--line"), width: 1 },
    values: (_, at) => at.map(shorten),
  }
  return {
    width: widthOf(parent),
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    hooks: { setCursor: [(plot: uPlot) => point(plot.cursor.idx ?? null)] },
    axis: { ...axis, grid: { show: false }, size: 20, gap: 2 },
    figures,
  }
}

/** Bars along days. Heights are drawn from numbers; what is written is the figures as they came. */
export function BarChart({ title, labels, figures, total }: Props) {
  const [at, setAt] = useState<number | null>(null)
  const element = usePlot((parent) => draw(parent, labels, figures, setAt), [labels, figures])
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <strong>{at === null ? total : `${labels[at]}: ${figures[at]}`}</strong>
      </figcaption>
      <div ref={element} aria-hidden="true" class="plot" />
    </figure>
  )
}

const colourOf = (parent: HTMLElement, name: string) => () => getComputedStyle(parent).getPropertyValue(name)

const widthOf = (element: HTMLElement): number => Math.max(NARROWEST, element.clientWidth)

function draw(
  parent: HTMLElement,
  labels: readonly string[],
  figures: readonly string[],
  point: (index: number | null) => void,
): uPlot {
  const { axis, figures: figureAxis, ...base } = baseOptions(parent, point)
  const bars = uPlot.paths.bars?.({ size: [0.7, 48], align: 0 })
  const options: uPlot.Options = {
    ...base,
    scales: { x: { time: false, range: [-0.5, labels.length - 0.5] }, y: { range: (_, __, most) => [0, most || 1] } },
    axes: [
      {
        ...axis,
        space: 48,
        incrs: [1, 2, 5, 7, 10, 15, 30],
        values: (_, at) => at.map((index) => labels[index]?.slice(5) ?? ""),
      },
      figureAxis,
    ],
    series: [{}, { fill: colourOf(parent, "--accent"), ...(bars && { paths: bars }), points: { show: false } }],
  }
  return new uPlot(options, [labels.map((_, index) => index), figures.map(toHeight)], parent)
}

function toHeight(figure: string): number {
  return Number(figure.replace(/[^\d.-]/g, ""))
}

const SHORT = new Intl.NumberFormat("en", { notation: "compact" })

function shorten(value: number): string {
  return value === 0 ? "" : SHORT.format(value)
}
