import type { ComponentChildren } from "preact"
import type { Exchange, Json } from "../../api/types"
import { formatCount, showHidden } from "../../format"
import { Code } from "../../parts/code"
import { go } from "../../route"
import { say } from "../../words"
import { toYaml } from "../../yaml"
import { describeAnswer, Sentence } from "./contract_tab"
import { judgeAnswer } from "./verdict"

/** What made the answer. */
export function WhyTab({ exchange, session }: { exchange: Exchange; session: string }) {
  const { explain, usage } = exchange
  return (
    <dl class="facts-list">
      <Fact name={say("why.answered_by")}>{describeOrigin(exchange)}</Fact>
      {explain.scenario && (
        <Fact name={say("why.scenario")}>
          <code>{showHidden(explain.scenario)}</code>
          {explain.action && <Code text={toYaml(explain.action as Json)} label={say("why.scenario")} />}
        </Fact>
      )}
      {explain.limit && <Fact name={say("why.limit")}>{showHidden(explain.limit)}</Fact>}
      <Fact name={say("why.seed")}>
        <code>{showHidden(explain.seed)}</code>
      </Fact>
      <Fact name={say("why.occurrence")}>
        {say("why.occurrence_text", { count: explain.occurrence, before: Math.max(0, explain.occurrence - 1) })}
      </Fact>
      <Fact name={say("why.session")}>{session}</Fact>
      {exchange.key && <Fact name={say("why.key")}>{showHidden(exchange.key)}</Fact>}
      <Fact name={say("why.request_id")}>
        <code>{exchange.request_id}</code>
      </Fact>
      {explain.limits && (
        <Fact name={say("why.limits")}>
          <Limit name={say("why.requests")} {...explain.limits.requests_per_minute} />
          <Limit name={say("why.tokens_minute")} {...explain.limits.tokens_per_minute} />
        </Fact>
      )}
      <Fact name={say("why.nearest")}>
        <Nearest exchange={exchange} />
      </Fact>
      {usage && <Fact name={say("why.tokens")}>{say("why.token_text", countTokens(usage))}</Fact>}
      <Fact name={say("why.cost")}>{exchange.cost === null ? say("why.not_charged") : `¥${exchange.cost}`}</Fact>
      <Fact name={say("why.contract")}>
        <Sentence verdict={judgeAnswer(exchange)} text={describeAnswer(exchange)} />
        <button type="button" class="action" onClick={() => go({ tab: "contract" })}>
          {say("contract.open")}
        </button>
      </Fact>
    </dl>
  )
}

function countTokens(usage: NonNullable<Exchange["usage"]>): Record<string, string> {
  return Object.fromEntries(Object.entries(usage).map(([name, count]) => [name, formatCount(count)]))
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function describeOrigin(exchange: Exchange): string {
  if (exchange.finding === "unknown_operation") return say("why.by_contract")
  if (exchange.limit) return say("why.by_limit")
  if (exchange.finding === "invalid_request") return say("why.by_validation")
  if (exchange.rule === "header") return say("why.by_header")
  if (exchange.rule) return say("why.by_rule", { id: exchange.rule })
  return exchange.error ? say("why.by_check", { error: exchange.error }) : say("why.by_mock")
}

function Limit({ name, used, most }: { name: string; used: number; most: number }) {
  return (
    <div class="limit">
      <span>{name}</span>
      <meter min={0} max={most} value={Math.min(used, most)} aria-label={name} />
      <span class="figure">{say("why.used", { used: formatCount(used), most: formatCount(most) })}</span>
    </div>
  )
}

function Nearest({ exchange }: { exchange: Exchange }) {
  const nearest = exchange.explain.nearest
  if (!nearest) return <>{say("why.no_rules")}</>
  return (
    <>
      {say("why.nearest_text", { id: nearest.rule, count: nearest.satisfied })}
      <ul>
        {nearest.reasons.map((reason) => (
          <li key={reason}>{showHidden(reason)}</li>
        ))}
      </ul>
    </>
  )
}
