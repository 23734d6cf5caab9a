import { useState } from "preact/hooks"
import { changeClock } from "../../api/sessions"
import type { Session } from "../../api/types"
import { formatInstant } from "../../format"
import { OutcomeLine, useAction } from "../../parts/action"
import { Dialog } from "../../parts/dialog"
import { nowOf, readSessions, useTime } from "../../sessions"
import { say } from "../../words"
import { startOfNextMonth } from "./months"

/** The session's time in the frame; a click opens what changes it. */
export function ClockButton({ session }: { session: Session }) {
  const [open, setOpen] = useState(false)
  useTime(session)
  const now = formatInstant(nowOf(session))
  const state = say(session.frozen ? "clock.frozen" : "clock.running")
  return (
    <>
      <button
        type="button"
        class="quiet clock"
        title={state}
        aria-label={`${say("clock.title", { session: session.name })}: ${now} · ${state}`}
        onClick={() => setOpen(true)}
      >
        {now} <Hand frozen={session.frozen} />
      </button>
      {open && (
        <Dialog title={say("clock.title", { session: session.name })} close={() => setOpen(false)}>
          <ClockControls session={session} />
          <div class="actions">
            <button type="button" class="primary" onClick={() => setOpen(false)}>
              {say("detail.close")}
            </button>
          </div>
        </Dialog>
      )}
    </>
  )
}

/** Whether time stands still, as a picture. */
export function Hand({ frozen }: { frozen: boolean }) {
  return <span aria-hidden="true" class={frozen ? "hand still" : "hand"} />
}

const STEPS = [
  ["clock.minute", "1m"],
  ["clock.hour", "1h"],
  ["clock.day", "1d"],
] as const

/** Freezes, runs, sets and advances a session's clock. */
export function ClockControls({ session }: { session: Session }) {
  const { outcome, run } = useAction()
  const [set, setSet] = useState("")
  const [advance, setAdvance] = useState("")
  useTime(session)
  const change = (wanted: Parameters<typeof changeClock>[1], done = () => {}) =>
    void run(async () => {
      await changeClock(session.name, wanted)
      await readSessions()
      done()
      return undefined
    })
  return (
    <div class="clock-controls">
      <p class="now">
        <time dateTime={nowOf(session)}>{nowOf(session).replace(/\.\d+Z$/, "Z")}</time>
        <span class="note">{say(session.frozen ? "clock.frozen" : "clock.running")}</span>
      </p>
      <div class="buttons">
        <button type="button" class="action" onClick={() => change({ frozen: !session.frozen })}>
          {say(session.frozen ? "clock.unfreeze" : "clock.freeze")}
        </button>
        {STEPS.map(([word, duration]) => (
          <button key={word} type="button" class="action" onClick={() => change({ advance: duration })}>
            {say(word)}
          </button>
        ))}
        <button type="button" class="action" onClick={() => change({ set: startOfNextMonth(nowOf(session)) })}>
          {say("clock.month")}
        </button>
      </div>
      <div class="pair">
        <Setting
          label={say("clock.advance")}
          hint="1d12h"
          value={advance}
          write={setAdvance}
          apply={() => change({ advance }, () => setAdvance(""))}
          word={say("clock.advance_go")}
        />
        <Setting
          label={say("clock.set")}
          hint="2026-04-30T23:59:00Z"
          value={set}
          write={setSet}
          apply={() => change({ set }, () => setSet(""))}
          word={say("clock.set_go")}
        />
      </div>
      <OutcomeLine outcome={outcome} />
    </div>
  )
}

/** Advances a session's clock by a day, or to the next month, in one click. */
export function PassTime({ session }: { session: Session }) {
  const { outcome, run } = useAction()
  const change = (wanted: Parameters<typeof changeClock>[1]) =>
    void run(async () => {
      await changeClock(session.name, wanted)
      await readSessions()
      return undefined
    })
  return (
    <div class="buttons">
      <button type="button" class="action" onClick={() => change({ advance: "1d" })}>
        {say("clock.day")}
      </button>
      <button type="button" class="action" onClick={() => change({ set: startOfNextMonth(nowOf(session)) })}>
        {say("clock.month")}
      </button>
      <OutcomeLine outcome={outcome} />
    </div>
  )
}

interface SettingProps {
  label: string
  hint: string
  value: string
  write: (text: string) => void
  apply: () => void
  word: string
}

function Setting({ label, hint, value, write, apply, word }: SettingProps) {
  return (
    <form
      class="setting"
      onSubmit={(event) => {
        event.preventDefault()
        apply()
      }}
    >
      <label>
        {label}
        <input
          required
          spellcheck={false}
          autocomplete="off"
          placeholder={hint}
          value={value}
          onInput={(event) => write(event.currentTarget.value)}
        />
      </label>
      <button type="submit">{word}</button>
    </form>
  )
}
