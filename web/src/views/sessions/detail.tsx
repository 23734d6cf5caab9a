import { useState } from "preact/hooks"
import { deleteSession, forkSession, resetSession, restoreSession, snapshotSession } from "../../api/sessions"
import type { Session } from "../../api/types"
import { OutcomeLine, useAction } from "../../parts/action"
import { CopyButton } from "../../parts/copy"
import { Dialog } from "../../parts/dialog"
import { go } from "../../route"
import { DEFAULT_SESSION, readSessions } from "../../sessions"
import { say } from "../../words"
import { ClockControls } from "./clock"

/** One session: its clock, snapshots, and what can be done with it. */
export function SessionDetail({ session }: { session: Session }) {
  const name = session.name
  return (
    <article class="card" aria-labelledby="session-name">
      <h2 id="session-name">{name}</h2>
      <dl class="facts-list">
        <div>
          <dt>{say("sessions.base_url")}</dt>
          <dd>
            <code>{session.base_url}</code>{" "}
            <CopyButton text={session.base_url} label={`${say("copy.copy")}: ${say("sessions.base_url")}`} />
          </dd>
        </div>
        <div>
          <dt>{say("sessions.seed")}</dt>
          <dd>{session.seed}</dd>
        </div>
        <div>
          <dt>{say("sessions.pace")}</dt>
          <dd>{session.pace}</dd>
        </div>
      </dl>
      <section>
        <h3>{say("sessions.clock")}</h3>
        <ClockControls session={session} />
      </section>
      <Snapshots session={session} />
      <Fork name={name} />
      <End name={name} />
    </article>
  )
}

/** Keeps the present state, and goes back to one that was kept. */
function Snapshots({ session }: { session: Session }) {
  const [label, setLabel] = useState("")
  const { outcome, run } = useAction()
  const take = () =>
    void run(async () => {
      const kept = await snapshotSession(session.name, label)
      await readSessions()
      setLabel("")
      return say("sessions.snapshot_taken", { label: kept })
    })
  const restore = (kept: string) =>
    void run(async () => {
      await restoreSession(session.name, kept)
      await readSessions()
      return say("sessions.restored", { label: kept })
    })
  return (
    <section>
      <h3>{say("sessions.snapshots")}</h3>
      {session.snapshots.length === 0 && <p class="note">{say("sessions.no_snapshots")}</p>}
      <ul class="plain">
        {session.snapshots.map((kept) => (
          <li key={kept}>
            <code>{kept}</code>
            <button
              type="button"
              class="action"
              aria-label={say("sessions.restore_label", { label: kept })}
              onClick={() => restore(kept)}
            >
              {say("sessions.restore")}
            </button>
          </li>
        ))}
      </ul>
      <form
        class="setting"
        onSubmit={(event) => {
          event.preventDefault()
          take()
        }}
      >
        <label>
          {say("sessions.snapshot_label")}
          <input
            autocomplete="off"
            placeholder={say("sessions.snapshot_hint")}
            value={label}
            onInput={(event) => setLabel(event.currentTarget.value)}
          />
        </label>
        <button type="submit">{say("sessions.snapshot")}</button>
      </form>
      <OutcomeLine outcome={outcome} />
    </section>
  )
}

/** Makes a second session that begins with the state of this one. */
function Fork({ name }: { name: string }) {
  const [fork, setFork] = useState("")
  const { outcome, run } = useAction()
  const make = () =>
    void run(async () => {
      await forkSession(name, fork)
      await readSessions()
      go({ session: fork })
      return undefined
    })
  return (
    <section>
      <h3>{say("sessions.fork")}</h3>
      <p class="note">{say("sessions.fork_text")}</p>
      <form
        class="setting"
        onSubmit={(event) => {
          event.preventDefault()
          make()
        }}
      >
        <label>
          {say("sessions.fork_name")}
          <input
            required
            autocomplete="off"
            placeholder="what-if"
            value={fork}
            onInput={(event) => setFork(event.currentTarget.value)}
          />
        </label>
        <button type="submit">{say("sessions.fork_go")}</button>
      </form>
      <OutcomeLine outcome={outcome} />
    </section>
  )
}

/** Starts a session over, or forgets it, after a question. */
function End({ name }: { name: string }) {
  const [asked, ask] = useState<"reset" | "delete">()
  const { outcome, run } = useAction()
  const close = () => ask(undefined)
  const confirm = (end: "reset" | "delete") =>
    void run(async () => {
      close()
      await (end === "reset" ? resetSession(name) : deleteSession(name))
      await readSessions()
      if (end === "reset") return say("sessions.reset_done")
      go({ session: "" })
      return undefined
    })
  return (
    <section>
      <div class="buttons">
        <button type="button" onClick={() => ask("reset")}>
          {say("sessions.reset")}
        </button>
        {name !== DEFAULT_SESSION && (
          <button type="button" onClick={() => ask("delete")}>
            {say("sessions.delete")}
          </button>
        )}
      </div>
      <OutcomeLine outcome={outcome} />
      {asked && (
        <Dialog title={say(`sessions.${asked}_title`, { name })} close={close}>
          <p>{say(`sessions.${asked}_text`)}</p>
          <div class="actions">
            <button type="button" class="quiet" onClick={close}>
              {say("rule.cancel")}
            </button>
            <button type="button" class="primary" onClick={() => confirm(asked)}>
              {say(`sessions.${asked}`)}
            </button>
          </div>
        </Dialog>
      )}
    </section>
  )
}
