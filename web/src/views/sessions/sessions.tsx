import { useEffect, useState } from "preact/hooks"
import type { Session } from "../../api/types"
import { formatInstant } from "../../format"
import { onKeys } from "../../keys"
import { go, route } from "../../route"
import { DEFAULT_SESSION, nowOf, sessions, useTime } from "../../sessions"
import { say } from "../../words"
import { Hand } from "./clock"
import { SessionDetail } from "./detail"
import { NewSession } from "./new_session"

/** All sessions, and what can be done with one. */
export function Sessions() {
  const [making, setMaking] = useState(false)
  const chosen = route.value.session || DEFAULT_SESSION
  const found = sessions.value.find((each) => each.name === chosen)
  useEffect(() => onKeys({ j: () => move(1), k: () => move(-1), n: () => setMaking(true) }), [])
  return (
    <main class="view">
      <header class="view-head">
        <h1>{say("view.sessions")}</h1>
        <p class="note">{say("sessions.text")}</p>
        <button type="button" class="primary" onClick={() => setMaking(true)}>
          {say("sessions.new")}
        </button>
      </header>
      <div class="beside">
        <section aria-label={say("sessions.list")}>
          <SessionTable chosen={chosen} />
          {sessions.value.length === 1 && <p class="note hint">{say("sessions.only_default")}</p>}
        </section>
        {found ? (
          <SessionDetail key={found.name} session={found} />
        ) : (
          <p class="note">{say("sessions.unknown", { name: chosen })}</p>
        )}
      </div>
      {making && <NewSession close={() => setMaking(false)} />}
    </main>
  )
}

function move(by: number): void {
  const names = sessions.value.map((each) => each.name)
  const at = names.indexOf(route.value.session || DEFAULT_SESSION)
  const next = names[Math.min(Math.max(at + by, 0), names.length - 1)]
  if (next) go({ session: next })
}

function SessionTable({ chosen }: { chosen: string }) {
  return (
    <div class="scroll">
      <table class="rows-table">
        <thead>
          <tr>
            <th scope="col">{say("sessions.name")}</th>
            <th scope="col">{say("sessions.clock")}</th>
            <th scope="col">{say("sessions.seed")}</th>
            <th scope="col" class="number">
              {say("sessions.calls")}
            </th>
            <th scope="col" class="number">
              {say("sessions.rules")}
            </th>
            <th scope="col" class="number">
              {say("sessions.snapshots")}
            </th>
          </tr>
        </thead>
        <tbody>
          {sessions.value.map((session) => (
            <SessionRow key={session.name} session={session} chosen={session.name === chosen} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function SessionRow({ session, chosen }: { session: Session; chosen: boolean }) {
  useTime(session)
  return (
    <tr class={chosen ? "chosen" : undefined}>
      <th scope="row">
        <button
          type="button"
          class="link"
          aria-current={chosen ? "true" : undefined}
          onClick={() => go({ session: session.name })}
        >
          {session.name}
        </button>
      </th>
      <td>
        {formatInstant(nowOf(session))} <Hand frozen={session.frozen} />
        <span class="hidden">{say(session.frozen ? "clock.frozen" : "clock.running")}</span>
      </td>
      <td>{session.seed}</td>
      <td class="number">
        <a href={`#/traffic?session=${encodeURIComponent(session.name)}`}>{session.calls}</a>
      </td>
      <td class="number">{session.rules}</td>
      <td class="number">{session.snapshots.length}</td>
    </tr>
  )
}
