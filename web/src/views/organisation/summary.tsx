import type { ComponentChildren } from "preact"
import { formatCount, formatInstant } from "../../format"
import { say } from "../../words"
import { money } from "./money"
import type { Organisation } from "./read"

export function Fact({ name, children, note }: { name: string; children: ComponentChildren; note?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
      {note && <dd class="note">{note}</dd>}
    </div>
  )
}

/** Plan, balance, and the month so far against the budget. */
export function Summary({ content }: { content: Organisation }) {
  const { plan, account, business } = content
  const budget = account.monthly_budget_rmb
  return (
    <section class="block" aria-label={say("organisation.account")}>
      <dl class="figures">
        <Fact name={say("organisation.plan")} note={`${say(`billing.${plan.billing_mode}`)} · ${plan.status}`}>
          {plan.name}
        </Fact>
        <Fact name={say("organisation.fee")} note={say("organisation.fee_note")}>
          {money(plan.monthly_fee_rmb)}
        </Fact>
        <Fact
          name={say("organisation.balance")}
          note={say("organisation.credit", { amount: money(account.credit_limit_rmb) })}
        >
          {money(account.balance_rmb)}
          {account.status !== "active" && <strong class="bad"> {account.status}</strong>}
        </Fact>
        <Fact
          name={say("organisation.month")}
          note={
            budget === null
              ? say("organisation.no_budget")
              : say("organisation.budget", {
                  amount: money(budget),
                  percent: business ? `${business.budget_progress_pct} %` : "–",
                })
          }
        >
          {money(account.month_to_date_cost_rmb)}
          {budget !== null && (
            <meter
              aria-label={say("organisation.month")}
              min={0}
              max={Number(budget)}
              value={Number(account.month_to_date_cost_rmb)}
            />
          )}
        </Fact>
        <Fact name={say("organisation.limits")} note={say("organisation.limits_note")}>
          {say("organisation.rates", { rpm: formatCount(plan.rpm_limit), tpm: formatCount(plan.tpm_limit) })}
        </Fact>
        {business && (
          <>
            <Fact name={say("organisation.service")}>
              <Status word={business.service_status} good="normal" />
            </Fact>
            <Fact name={say("organisation.capacity")}>
              <Status word={business.capacity_status} good="sufficient" />
            </Fact>
          </>
        )}
        <Fact name={say("organisation.effective")}>
          {plan.effective_from} – {plan.effective_until ?? say("organisation.open_end")}
        </Fact>
      </dl>
    </section>
  )
}

function Status({ word, good }: { word: string; good: string }) {
  return <span class={word === good ? undefined : "bad"}>{word}</span>
}

/** An instant of the gateway, or a dash where there is none. */
export function Instant({ at }: { at: string | null }) {
  return at === null ? <>–</> : <time dateTime={at}>{formatInstant(at)}</time>
}
