import { useEffect, useState } from "preact/hooks"
import { formatRoute, parseRoute } from "./address"
import { onKeys } from "./keys"
import { Dialog } from "./parts/dialog"
import { go, route } from "./route"
import { callsEnded, changes, DEFAULT_SESSION, followChanges, readSessions, sessions } from "./sessions"
import { VIEWS } from "./views"
import { ClockButton } from "./views/sessions/clock"
import { type Language, language, say, setLanguage } from "./words"
import type { WordKey } from "./words/en"

const GO_KEYS = Object.fromEntries(
  VIEWS.map(({ id, key }) => [`g ${key}`, () => go({ ...parseRoute(""), view: id, session: route.peek().session })]),
)

/** What is true for all views: where one is, the session looked at, its clock, the language. */
export function Frame() {
  const [help, setHelp] = useState(false)
  useEffect(() => onKeys({ "?": () => setHelp(true), ...GO_KEYS }), [])
  const { view, session } = route.value
  const names = [...new Set([...sessions.value.map((each) => each.name), ...(session ? [session] : [])])]
  const shown = sessions.value.find((each) => each.name === (session || DEFAULT_SESSION))
  // Traffic follows every single call itself, and reports the changes that it hears of
  useEffect(() => (view === "traffic" ? undefined : followChanges()), [view])
  const asked = changes.value + callsEnded.value
  useEffect(() => void readSessions().catch(() => {}), [asked, view])
  return (
    <header class="frame">
      <span class="name">aione-mock</span>
      <nav aria-label={say("nav.views")}>
        {VIEWS.map(({ id }) => (
          <a
            key={id}
            href={formatRoute({ ...parseRoute(""), view: id, session: route.value.session })}
            aria-current={route.value.view === id ? "page" : undefined}
          >
            {say(`view.${id}`)}
          </a>
        ))}
      </nav>
      <select
        aria-label={say("nav.session")}
        value={route.value.session}
        onChange={(event) => go({ session: event.currentTarget.value, call: "" })}
      >
        <option value="">{say("nav.all_sessions")}</option>
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      {shown && <ClockButton session={shown} />}
      <select
        aria-label={say("nav.language")}
        value={language.value}
        onChange={(event) => setLanguage(event.currentTarget.value as Language)}
      >
        <option value="en">EN</option>
        <option value="zh">中文</option>
      </select>
      <button type="button" class="quiet help" aria-label={say("nav.keys")} onClick={() => setHelp(true)}>
        ?
      </button>
      {help && <Keys close={() => setHelp(false)} />}
    </header>
  )
}

const KEYS: [string, WordKey][] = [
  ["j k ↓ ↑", "keys.move"],
  ["Enter", "keys.open"],
  ["Esc", "keys.close"],
  ["1 2 3 4 5", "keys.tabs"],
  ["/", "keys.filter"],
  ["p", "keys.pause"],
  ["r", "keys.rule"],
  ["t", "keys.test"],
  ["c", "keys.compare"],
  ["e", "keys.replay"],
  ["n", "keys.new_session"],
  ...VIEWS.map(({ id, key }): [string, WordKey] => [`g ${key}`, `view.${id}`]),
  ["?", "keys.help"],
]

function Keys({ close }: { close: () => void }) {
  return (
    <Dialog title={say("keys.title")} close={close}>
      <dl class="keys">
        {KEYS.map(([keys, word]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{say(word)}</dd>
          </div>
        ))}
      </dl>
      <div class="actions">
        <button type="button" class="primary" onClick={close}>
          {say("detail.close")}
        </button>
      </div>
    </Dialog>
  )
}
