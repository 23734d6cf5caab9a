import { useEffect, useMemo, useState } from "preact/hooks"
import { type Console, type Credential, listCredentials, openConsole } from "../../api/console"
import { OutcomeLine } from "../../parts/action"
import { go, route } from "../../route"
import { callsEnded, changes, DEFAULT_SESSION, sessions } from "../../sessions"
import { say } from "../../words"
import { PassTime } from "../sessions/clock"
import { Dashboards } from "./dashboards"
import { Invoices, Models, Teams, UsageByModel } from "./figures"
import { Keys } from "./keys"
import { ModelRouter } from "./modelrouter"
import { type Organisation as Content, LONGEST_RANGE, listOrganisations, parseDays, readOrganisation } from "./read"
import { Summary } from "./summary"

const RANGES = [7, 30, LONGEST_RANGE]

/** What an organisation has, uses and owes, as the gateway's own operations say it. */
export function Organisation() {
  const credentials = useCredentials()
  const names = useMemo(() => listOrganisations(credentials ?? []), [credentials])
  const name = names.includes(route.value.tab) ? route.value.tab : (names[0] ?? "")
  const session = route.value.session || DEFAULT_SESSION
  const days = parseDays(route.value.filter)
  const console = useMemo(
    () => (credentials ? openConsole(session, name, credentials) : undefined),
    [session, name, credentials],
  )
  const { shown, problem, again } = useOrganisation(console, days)
  const clock = sessions.value.find((each) => each.name === session)
  return (
    <main class="view">
      <header class="view-head">
        <h1>{say("view.organisation")}</h1>
        {names.length > 1 && (
          <select
            aria-label={say("view.organisation")}
            value={name}
            onChange={(event) => go({ tab: event.currentTarget.value })}
          >
            {names.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
        <Range days={days} />
        {clock && <PassTime session={clock} />}
      </header>
      <OutcomeLine outcome={problem === undefined ? undefined : { text: problem, failed: true }} />
      {credentials && !console && <p class="note">{say("organisation.no_credential")}</p>}
      {!shown && console && problem === undefined && <p class="note">{say("organisation.loading")}</p>}
      {shown && (
        <>
          <Summary content={shown.content} />
          <Dashboards content={shown.content} days={shown.days} />
          <ModelRouter session={session} organisation={name} />
          <div class="twin">
            <UsageByModel content={shown.content} />
            <Teams content={shown.content} />
          </div>
          <Keys content={shown.content} console={shown.of} again={again} />
          <Models content={shown.content} />
          <Invoices content={shown.content} />
        </>
      )}
    </main>
  )
}

function Range({ days }: { days: number }) {
  return (
    <fieldset class="range">
      <legend class="hidden">{say("organisation.range")}</legend>
      {RANGES.map((each) => (
        <button
          key={each}
          type="button"
          class="quiet"
          aria-pressed={each === days}
          onClick={() => go({ filter: String(each) })}
        >
          {say("organisation.days", { count: each })}
        </button>
      ))}
      <input
        type="number"
        min="1"
        max={LONGEST_RANGE}
        aria-label={say("organisation.range_days")}
        value={days}
        onChange={(event) => go({ filter: event.currentTarget.value })}
      />
    </fieldset>
  )
}

function useCredentials(): Credential[] | undefined {
  const [credentials, setCredentials] = useState<Credential[]>()
  useEffect(() => {
    void listCredentials()
      .then(setCredentials)
      .catch(() => setCredentials([]))
  }, [])
  return credentials
}

/** Reads an organisation, and again whenever something may have changed. */
function useOrganisation(console: Console | undefined, days: number) {
  const [read, setRead] = useState<{ content: Content; of: Console; days: number }>()
  const [problem, setProblem] = useState<string>()
  const [times, setTimes] = useState(0)
  const asked = changes.value + callsEnded.value + times
  useEffect(() => {
    if (!console) return undefined
    let current = asked >= 0
    readOrganisation(console, days).then(
      (found) => {
        if (!current) return
        setRead({ content: found, of: console, days })
        setProblem(undefined)
      },
      (error: unknown) => {
        if (current) setProblem(error instanceof Error ? error.message : String(error))
      },
    )
    return () => {
      current = false
    }
  }, [console, days, asked])
  // figures of another organisation or session are not shown meanwhile, but those of another range are
  return { shown: read?.of === console ? read : undefined, problem, again: () => setTimes((count) => count + 1) }
}
