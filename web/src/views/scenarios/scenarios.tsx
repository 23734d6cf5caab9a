import { useEffect, useRef } from "preact/hooks"
import { onKeys } from "../../keys"
import { go, route } from "../../route"
import { say } from "../../words"
import { Catalogue, choose, chosenScenario } from "./catalogue"
import { RuleEditor } from "./editor"
import { RuleTable } from "./rule_table"
import { watchRules } from "./state"
import { Switch } from "./switch"
import { Effect } from "./wire"

/** What can be made to happen, what each does, when it is to happen, and the rules in force. */
export function Scenarios() {
  const search = useRef<HTMLInputElement>(null)
  const { session } = route.value
  useEffect(() => watchRules(session), [session])
  useEffect(
    () =>
      onKeys({
        "/": () => search.current?.focus(),
        j: () => choose(1),
        k: () => choose(-1),
        ArrowDown: () => choose(1),
        ArrowUp: () => choose(-1),
        Escape: () => go({ filter: "" }),
      }),
    [],
  )
  const scenario = chosenScenario()
  return (
    <main class="scenarios">
      <h1 class="hidden">{say("view.scenarios")}</h1>
      <div class="three">
        <Catalogue search={search} />
        {scenario && <Effect key={scenario.name} scenario={scenario} />}
        {scenario && <Switch key={`${scenario.name} ${session}`} scenario={scenario} session={session} />}
      </div>
      <RuleTable session={session} />
      <RuleEditor key={session} session={session} />
    </main>
  )
}
