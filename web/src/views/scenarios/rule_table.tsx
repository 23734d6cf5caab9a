import { useState } from "preact/hooks"
import { clearScenarios, deleteRule, switchRule } from "../../api/client"
import type { RuleState } from "../../api/types"
import { showHidden } from "../../format"
import { say } from "../../words"
import { describeThen, describeWhen, isOfFile } from "./scenario_text"
import { active, fileErrors, loaded, rules } from "./state"

/** The rules in force, in the order in which they are asked. */
export function RuleTable({ session }: { session: string }) {
  const [failure, setFailure] = useState("")
  const attempt = (action: Promise<void>) => {
    setFailure("")
    action.catch((error: unknown) => setFailure(error instanceof Error ? error.message : String(error)))
  }
  return (
    <section class="rules-in-force" aria-label={say("scenarios.rules")}>
      <header>
        <h2>{say("scenarios.rules")}</h2>
        {active.value.size > 0 && (
          <button type="button" class="action" onClick={() => attempt(clearScenarios(session))}>
            {say("scenarios.all_off")}
          </button>
        )}
      </header>
      {[...fileErrors.value, ...(failure ? [failure] : [])].map((message) => (
        <p key={message} class="message failed" role="alert">
          {showHidden(message)}
        </p>
      ))}
      {loaded.value && rules.value.length === 0 && <p class="note">{say("scenarios.no_rules")}</p>}
      <ol>
        {rules.value.map((state) => (
          <RuleRow
            key={state.id}
            state={state}
            toggle={() => attempt(switchRule(session, state.id, state.rule.enabled === false))}
            remove={() => attempt(deleteRule(session, state.id))}
          />
        ))}
      </ol>
    </section>
  )
}

function RuleRow({ state, toggle, remove }: { state: RuleState; toggle: () => void; remove: () => void }) {
  const { id, source, seen, spent, rule } = state
  const isOff = rule.enabled === false
  const otherWay = say(isOff ? "scenarios.on" : "scenarios.off")
  const { times } = rule.then as { times?: number }
  // calls after the last one that it answers are counted too
  const played = Math.min(seen, times ?? seen)
  const isScenario = active.value.has(id)
  return (
    <li class={isOff ? "off" : spent ? "spent" : ""}>
      <span class="id">{id}</span>
      <span class="conditions">{showHidden(describeWhen(rule.when)) || say("scenarios.every_call")}</span>
      <span class="outcome">{showHidden(describeThen(state))}</span>
      <span class="seen">
        {isOff ? `${say("scenarios.is_off")} · ` : ""}
        {times
          ? say(spent ? "scenarios.spent_of" : "scenarios.seen_of", { count: played, times })
          : say(spent ? "scenarios.spent" : "scenarios.seen", { count: seen })}
      </span>
      <span class="source">{isScenario ? say("scenarios.switched_on") : source}</span>
      {!isOfFile(state) && (
        <span class="actions">
          <button type="button" class="quiet" aria-label={`${otherWay}: ${id}`} onClick={toggle}>
            {otherWay}
          </button>
          <button type="button" class="quiet" aria-label={`${say("scenarios.delete")}: ${id}`} onClick={remove}>
            {say("scenarios.delete")}
          </button>
        </span>
      )}
    </li>
  )
}
