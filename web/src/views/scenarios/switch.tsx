import { useSignal } from "@preact/signals"
import { useEffect, useState } from "preact/hooks"
import { activateScenario } from "../../api/client"
import type { JsonObject, Scenario, When } from "../../api/types"
import { say } from "../../words"
import { chosenText, optionValues } from "./options"
import { writeScenario } from "./scenario_text"

const CONDITIONS = ["model", "key", "text"] as const
const WORDS = { model: "model", key: "key", text: "last" } as const

/** Makes the chosen scenario happen: to the next call, to the next n, or until it is switched off. */
export function Switch({ scenario, session }: { scenario: Scenario; session: string }) {
  const [times, setTimes] = useState("3")
  const conditions = useSignal<Record<string, string>>({})
  const [message, setMessage] = useState<{ text: string; failed: boolean }>()
  useEffect(() => {
    optionValues.value = {}
  }, [scenario.name])
  const when: JsonObject = Object.fromEntries(Object.entries(conditions.value).filter(([, value]) => value.trim()))
  const play = async (count: number | undefined) => {
    try {
      const id = await activateScenario(session, chosenText(scenario), count, when as When)
      setMessage({ text: say("scenarios.active", { id }), failed: false })
    } catch (error) {
      setMessage({ text: error instanceof Error ? error.message : String(error), failed: true })
    }
  }
  return (
    <section class="switch" aria-label={say("scenarios.when")}>
      <h2>{say("scenarios.when")}</h2>
      <div class="play">
        <button type="button" class="primary" onClick={() => void play(1)}>
          {say("scenarios.next")}
        </button>
        <form
          class="next-n"
          onSubmit={(event) => {
            event.preventDefault()
            void play(Number(times))
          }}
        >
          <button type="submit" class="action">
            {say("scenarios.next_n")}
          </button>
          <input
            type="number"
            min="1"
            required
            aria-label={say("scenarios.count")}
            value={times}
            onInput={(event) => setTimes(event.currentTarget.value)}
          />
        </form>
        <button type="button" class="action" onClick={() => void play(undefined)}>
          {say("scenarios.until_off")}
        </button>
      </div>
      {message && (
        <p class={message.failed ? "message failed" : "message"} role={message.failed ? "alert" : "status"}>
          {message.text}
        </p>
      )}
      <fieldset>
        <legend>{say("scenarios.only")}</legend>
        {CONDITIONS.map((name) => (
          <label key={name} class="field">
            {say(`scenarios.${WORDS[name]}`)}
            <input
              value={conditions.value[name] ?? ""}
              placeholder={say(`scenarios.${WORDS[name]}_hint`)}
              spellcheck={false}
              onInput={(event) => {
                conditions.value = { ...conditions.value, [name]: event.currentTarget.value }
              }}
            />
          </label>
        ))}
      </fieldset>
      <p class="note">
        {say("scenarios.header")} <code>X-Mock-Scenario: {writeScenario(scenario, optionValues.value)}</code>
      </p>
    </section>
  )
}
