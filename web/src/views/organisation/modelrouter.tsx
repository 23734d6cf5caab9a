import { useEffect, useMemo, useState } from "preact/hooks"
import { type Charts, type Curve, queryCharts, type TimeRange } from "../../api/modelrouter_calls"
import { formatInstant } from "../../format"
import { OutcomeLine } from "../../parts/action"
import { LineChart } from "../../parts/line_chart"
import { go, route } from "../../route"
import { callsEnded, changes } from "../../sessions"
import { say } from "../../words"
import { listFigures, readLines } from "./curves"
import { Table } from "./tables"

const RANGES: readonly TimeRange[] = ["1h", "6h", "24h", "7d", "30d"]
const USUAL: TimeRange = "24h"
const CURVES: readonly Curve[] = ["qpm", "tpm", "concurrency", "callVolume", "successRate", "responseTime"]

/** ModelRouter's six charts, a line for each model. */
export function ModelRouter({ session, organisation }: { session: string; organisation: string }) {
  const range = RANGES.find((each) => each === route.value.item) ?? USUAL
  const { charts, problem } = useCharts(session, organisation, range)
  return (
    <section class="block" aria-label={say("modelrouter.title")}>
      <header class="block-head">
        <h2>{say("modelrouter.title")}</h2>
        <fieldset class="range">
          <legend class="hidden">{say("modelrouter.range")}</legend>
          {RANGES.map((each) => (
            <button
              key={each}
              type="button"
              class="quiet"
              aria-pressed={each === range}
              onClick={() => go({ item: each })}
            >
              {each}
            </button>
          ))}
        </fieldset>
      </header>
      <OutcomeLine outcome={problem === undefined ? undefined : { text: problem, failed: true }} />
      {charts && <Curves charts={charts} />}
    </section>
  )
}

function Curves({ charts }: { charts: Charts }) {
  const [open, setOpen] = useState(false)
  const curves = useMemo(() => CURVES.map((name) => ({ name, ...readLines(charts, name) })), [charts])
  const lines = curves[0]?.lines ?? []
  if (lines.length === 0) return <p class="note">{say("modelrouter.none")}</p>
  return (
    <>
      <ul class="legend">
        {lines.map(({ label, colour }) => (
          <li key={label}>
            <span class="swatch" style={{ background: colour }} /> {label}
          </li>
        ))}
      </ul>
      <div class="charts">
        {curves.map(({ name, times, lines: own }) => (
          <LineChart key={name} title={say(`modelrouter.${name}`)} times={times} lines={own} />
        ))}
      </div>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{say("modelrouter.figures")}</summary>
        {open && <Figures charts={charts} />}
      </details>
    </>
  )
}

function Figures({ charts }: { charts: Charts }) {
  const rows = useMemo(() => listFigures(charts), [charts])
  return (
    <Table
      title={say("modelrouter.figures")}
      untitled
      rows={rows}
      keyOf={(row) => `${row.timestamp} ${row.label}`}
      empty={say("modelrouter.none")}
      columns={[
        {
          name: say("modelrouter.time"),
          cell: (row) => <time dateTime={row.timestamp}>{formatInstant(row.timestamp)}</time>,
        },
        { name: say("organisation.model"), cell: (row) => row.label },
        ...CURVES.map((name) => ({
          name: say(`modelrouter.${name}`),
          number: true,
          cell: (row: (typeof rows)[number]) => String(row.figures[name] ?? ""),
        })),
      ]}
    />
  )
}

function useCharts(session: string, organisation: string, range: TimeRange) {
  const [read, setRead] = useState<{ charts: Charts; of: string }>()
  const [problem, setProblem] = useState<string>()
  const of = `${session} ${organisation} ${range}`
  const asked = changes.value + callsEnded.value
  useEffect(() => {
    let current = asked >= 0
    queryCharts(session, organisation, range).then(
      (charts) => {
        if (!current) return
        setRead({ charts, of })
        setProblem(undefined)
      },
      (error: unknown) => {
        if (current) setProblem(error instanceof Error ? error.message : String(error))
      },
    )
    return () => {
      current = false
    }
  }, [of, asked])
  return { charts: read?.of === of ? read.charts : undefined, problem }
}
