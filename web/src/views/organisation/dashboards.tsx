import { useMemo } from "preact/hooks"
import type { Day } from "../../api/console"
import { formatCount } from "../../format"
import { BarChart } from "../../parts/chart"
import { say } from "../../words"
import { money } from "./money"
import type { Organisation } from "./read"
import { Fact } from "./summary"
import { Table } from "./tables"

const DATA = [
  { name: "organisation.cost", figure: (day: Day) => money(day.cost_rmb) },
  { name: "organisation.tokens", figure: (day: Day) => formatCount(day.tokens) },
  { name: "organisation.requests", figure: (day: Day) => formatCount(day.requests) },
] as const

/** The engineers' and the payers' dashboard, and their days as bars. */
export function Dashboards({ content, days }: { content: Organisation; days: number }) {
  const { tech, business } = content
  const trend = tech.daily_trend
  const labels = useMemo(() => trend.map((day) => day.date), [trend])
  const columns = useMemo(() => DATA.map(({ figure }) => trend.map(figure)), [trend])
  const totals = [money(tech.total_cost_rmb), formatCount(tech.total_tokens), formatCount(tech.total_requests)]
  return (
    <section class="block" aria-label={say("organisation.dashboards")}>
      <h2>{say("organisation.last_days", { count: days })}</h2>
      <div class="charts">
        {DATA.map(({ name }, index) => (
          <BarChart
            key={name}
            title={say(name)}
            labels={labels}
            figures={columns[index] ?? []}
            total={totals[index] ?? ""}
          />
        ))}
      </div>
      <div class="twin">
        <section aria-label={say("organisation.tech")}>
          <h3>{say("organisation.tech")}</h3>
          <dl class="figures">
            <Fact
              name={say("organisation.tokens")}
              note={say("organisation.tokens_note", {
                prompt: formatCount(tech.prompt_tokens),
                completion: formatCount(tech.completion_tokens),
              })}
            >
              {formatCount(tech.total_tokens)}
            </Fact>
            <Fact name={say("organisation.requests")}>{formatCount(tech.total_requests)}</Fact>
            <Fact name={say("organisation.cost")}>{money(tech.total_cost_rmb)}</Fact>
            <Fact name={say("organisation.latency")}>{tech.avg_latency_ms} ms</Fact>
            <Fact name={say("organisation.p99")}>{tech.p99_latency_ms} ms</Fact>
            <Fact name={say("organisation.errors")}>{tech.error_rate_pct} %</Fact>
            <Fact name={say("organisation.rpm_used")}>{tech.rpm_usage_pct} %</Fact>
          </dl>
        </section>
        <section aria-label={say("organisation.business")}>
          <h3>{say("organisation.business")}</h3>
          {business ? (
            <dl class="figures">
              <Fact name={say("organisation.conversations")}>{formatCount(business.total_conversations)}</Fact>
              <Fact name={say("organisation.chars")}>{business.total_chars_wan}</Fact>
              <Fact name={say("organisation.cost")}>{money(business.total_cost_rmb)}</Fact>
              <Fact name={say("organisation.budget_used")}>{business.budget_progress_pct} %</Fact>
            </dl>
          ) : (
            <p class="note">{say("organisation.no_business")}</p>
          )}
        </section>
      </div>
      <details>
        <summary>{say("organisation.by_day")}</summary>
        <Table
          title={say("organisation.by_day")}
          untitled
          rows={trend}
          keyOf={(day) => day.date}
          empty={say("organisation.no_calls")}
          columns={[
            { name: say("organisation.day"), cell: (day) => day.date },
            ...DATA.map(({ name, figure }) => ({ name: say(name), number: true, cell: figure })),
          ]}
        />
      </details>
    </section>
  )
}
