import type { ComponentChildren } from "preact"
import { useEffect, useState } from "preact/hooks"
import { addRule, listErrors, listFaults } from "../../api/client"
import type { Exchange, Json } from "../../api/types"
import { Code } from "../../parts/code"
import { CopyButton } from "../../parts/copy"
import { Dialog } from "../../parts/dialog"
import { say } from "../../words"
import { toYaml } from "../../yaml"
import { protocolOf } from "./conversation"
import { draftRule, makeRule, type RuleDraft } from "./rule"

const OUTCOMES = ["reply", "error", "fault"] as const

interface Props {
  exchange: Exchange
  session: string
  close: () => void
}

/** Makes a rule of a call: conditions are prefilled, and it is saved to the session or shown as YAML. */
export function RuleDialog({ exchange, session, close }: Props) {
  const [draft, setDraft] = useState(() => draftRule(exchange))
  const [message, setMessage] = useState<{ text: string; failed: boolean }>()
  const names = useNames(exchange)
  const full: RuleDraft = {
    ...draft,
    error: draft.error || (names.errors[0] ?? ""),
    fault: draft.fault || (names.faults[0] ?? ""),
  }
  const change = (part: Partial<RuleDraft>) => setDraft({ ...draft, ...part })
  const rule = makeRule(full)
  const yaml = toYaml({ rules: [rule as unknown as Json] })
  const save = async () => {
    try {
      setMessage({ text: say("rule.saved", { id: await addRule(session, rule) }), failed: false })
    } catch (error) {
      setMessage({ text: error instanceof Error ? error.message : String(error), failed: true })
    }
  }
  return (
    <Dialog title={say("rule.title")} close={close}>
      <form
        class="rule"
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault()
          void save()
        }}
      >
        <fieldset>
          <legend>{say("rule.when")}</legend>
          {(["operation", "model", "text"] as const).map((name) => (
            <Condition
              key={name}
              name={say(`rule.${name}`)}
              on={draft[name].on}
              setOn={(on) => change({ [name]: { ...draft[name], on } })}
            >
              <input
                aria-label={say(`rule.${name}`)}
                value={draft[name].value}
                disabled={!draft[name].on}
                onInput={(event) => change({ [name]: { on: true, value: event.currentTarget.value } })}
              />
            </Condition>
          ))}
          <Condition
            name={say("rule.stream")}
            on={draft.stream.on}
            setOn={(on) => change({ stream: { ...draft.stream, on } })}
          >
            <select
              aria-label={say("rule.stream")}
              disabled={!draft.stream.on}
              value={String(draft.stream.value)}
              onChange={(event) => change({ stream: { on: true, value: event.currentTarget.value === "true" } })}
            >
              <option value="true">{say("rule.yes")}</option>
              <option value="false">{say("rule.no")}</option>
            </select>
          </Condition>
        </fieldset>
        <fieldset>
          <legend>{say("rule.then")}</legend>
          <div class="choices">
            {OUTCOMES.filter((each) => each !== "reply" || protocolOf(exchange.operation)).map((each) => (
              <label key={each}>
                <input
                  type="radio"
                  name="outcome"
                  checked={draft.outcome === each}
                  onChange={() => change({ outcome: each })}
                />{" "}
                {say(`rule.${each}`)}
              </label>
            ))}
          </div>
          {draft.outcome === "reply" && (
            <textarea
              rows={4}
              aria-label={say("rule.reply_text")}
              value={draft.reply}
              onInput={(event) => change({ reply: event.currentTarget.value })}
            />
          )}
          {draft.outcome === "error" && (
            <Choice
              label={say("rule.error_name")}
              names={names.errors}
              value={full.error}
              choose={(error) => change({ error })}
            />
          )}
          {draft.outcome === "fault" && (
            <Choice
              label={say("rule.fault_name")}
              names={names.faults}
              value={full.fault}
              choose={(fault) => change({ fault })}
            />
          )}
          <div class="pair">
            <label>
              {say("rule.times")}
              <input
                type="number"
                min="1"
                placeholder={say("rule.times_hint")}
                value={draft.times}
                onInput={(event) => change({ times: event.currentTarget.value })}
              />
            </label>
            <label>
              {say("rule.id")}
              <input value={draft.id} onInput={(event) => change({ id: event.currentTarget.value })} />
            </label>
          </div>
        </fieldset>
        <details class="yaml">
          <summary>{say("rule.yaml")}</summary>
          <CopyButton text={yaml} label={`${say("copy.copy")}: YAML`} />
          <Code text={yaml} label="YAML" />
        </details>
        {message && (
          <p class={message.failed ? "message failed" : "message"} role={message.failed ? "alert" : "status"}>
            {message.text}
          </p>
        )}
        <div class="actions">
          <button type="button" class="quiet" onClick={close}>
            {say(message && !message.failed ? "detail.close" : "rule.cancel")}
          </button>
          <button type="submit" class="primary">
            {say("rule.save", { session })}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

interface ConditionProps {
  name: string
  on: boolean
  setOn: (on: boolean) => void
  children: ComponentChildren
}

function Condition({ name, on, setOn, children }: ConditionProps) {
  return (
    <div class="condition">
      <label>
        <input type="checkbox" checked={on} onChange={(event) => setOn(event.currentTarget.checked)} /> {name}
      </label>
      {children}
    </div>
  )
}

function Choice({
  label,
  names,
  value,
  choose,
}: {
  label: string
  names: string[]
  value: string
  choose: (name: string) => void
}) {
  return (
    <select aria-label={label} value={value} onChange={(event) => choose(event.currentTarget.value)}>
      {names.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  )
}

/** Reads what the operation may answer wrongly, and which faults its kind of answer takes. */
function useNames(exchange: Exchange): { errors: string[]; faults: string[] } {
  const [names, setNames] = useState<{ errors: string[]; faults: string[] }>({ errors: [], faults: [] })
  useEffect(() => {
    const kind = exchange.stream ? "stream" : "plain"
    void Promise.all([listErrors(exchange.operation ?? ""), listFaults()]).then(([errors, faults]) =>
      setNames({
        errors: [...new Set(errors.map((each) => each.name))].sort(),
        faults: faults
          .filter((each) => each.applies_to === "both" || each.applies_to === kind)
          .map((each) => each.name),
      }),
    )
  }, [exchange])
  return names
}
