import { useState } from "preact/hooks"
import { createSession, type SessionCreate } from "../../api/sessions"
import { OutcomeLine, useAction } from "../../parts/action"
import { Dialog } from "../../parts/dialog"
import { go } from "../../route"
import { readSessions } from "../../sessions"
import { say } from "../../words"
import { describeSession, type SessionDraft } from "./draft"

const EMPTY: SessionDraft = { name: "", seed: "", now: "", frozen: "", pace: "" }

/** Asks for what a new session shall be, and makes it. */
export function NewSession({ close }: { close: () => void }) {
  const [draft, setDraft] = useState(EMPTY)
  const { outcome, run } = useAction()
  const write = (name: keyof SessionDraft) => (event: { currentTarget: { value: string } }) =>
    setDraft({ ...draft, [name]: event.currentTarget.value })
  const make = () =>
    void run(async () => {
      const wanted: SessionCreate = describeSession(draft)
      await createSession(wanted)
      await readSessions()
      go({ session: wanted.name })
      close()
      return undefined
    })
  return (
    <Dialog title={say("sessions.new")} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          make()
        }}
      >
        <p class="note">{say("sessions.new_text")}</p>
        <label>
          {say("sessions.name")}
          <input required autocomplete="off" placeholder="worker-3" value={draft.name} onInput={write("name")} />
        </label>
        <label>
          {say("sessions.seed")}
          <input
            autocomplete="off"
            placeholder={say("sessions.as_server")}
            value={draft.seed}
            onInput={write("seed")}
          />
        </label>
        <label>
          {say("sessions.now")}
          <input autocomplete="off" placeholder="2026-04-07T09:30:00Z" value={draft.now} onInput={write("now")} />
        </label>
        <label>
          {say("sessions.clock")}
          <select value={draft.frozen} onChange={write("frozen")}>
            <option value="">{say("sessions.as_server")}</option>
            <option value="yes">{say("clock.frozen")}</option>
            <option value="no">{say("clock.running")}</option>
          </select>
        </label>
        <label>
          {say("sessions.pace")}
          <select value={draft.pace} onChange={write("pace")}>
            <option value="">{say("sessions.as_server")}</option>
            <option>instant</option>
            <option>realistic</option>
          </select>
        </label>
        <OutcomeLine outcome={outcome} />
        <div class="actions">
          <button type="button" class="quiet" onClick={close}>
            {say("rule.cancel")}
          </button>
          <button type="submit" class="primary">
            {say("sessions.create")}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
