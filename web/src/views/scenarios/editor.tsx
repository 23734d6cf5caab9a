import { useEffect, useRef, useState } from "preact/hooks"
import { checkRules, getRuleSchema, replaceRules } from "../../api/client"
import type { Json, JsonObject, RuleMistake } from "../../api/types"
import { showHidden } from "../../format"
import { CopyButton } from "../../parts/copy"
import { DEFAULT_SESSION } from "../../sessions"
import { say } from "../../words"
import { toYaml } from "../../yaml"
import { isOfFile } from "./scenario_text"
import { findPath, listMembers } from "./schema_help"
import { active, loaded, rules } from "./state"

const DELAY = 300
const EXAMPLE = `rules:
  - id: refunds
    when:
      text: refund
    then:
      reply:
        text: A refund takes five days.
`

function writeRules(): string {
  const own = rules.value.filter((state) => !active.value.has(state.id) && !isOfFile(state))
  return toYaml({ rules: own.map((state) => state.rule as unknown as Json) })
}

/** The session's own rules as text: mistakes are marked in their lines, and the schema says what may stand where. */
export function RuleEditor({ session }: { session: string }) {
  const area = useRef<HTMLTextAreaElement>(null)
  const [edited, setEdited] = useState<string>()
  const [cursor, setCursor] = useState(0)
  const [message, setMessage] = useState<{ text: string; failed: boolean }>()
  const text = edited ?? (loaded.value ? writeRules() : "")
  const mistakes = useMistakes(edited)
  const change = (next: string) => {
    setEdited(next)
    setMessage(undefined)
  }
  const save = async () => {
    try {
      const checked = await checkRules(text)
      if (checked.mistakes.length > 0) return
      await replaceRules(session, checked.rules)
      setMessage({ text: say("scenarios.saved", { count: checked.rules.length }), failed: false })
    } catch (error) {
      setMessage({ text: error instanceof Error ? error.message : String(error), failed: true })
    }
  }
  const insert = (name: string) => {
    area.current?.focus()
    area.current?.setRangeText(`${name}: `, cursor, cursor, "end")
    if (area.current) change(area.current.value)
    setCursor(area.current?.selectionStart ?? cursor)
  }
  const goTo = (line: number) => {
    const start =
      text
        .split("\n")
        .slice(0, line - 1)
        .join("\n").length + (line > 1 ? 1 : 0)
    area.current?.focus()
    area.current?.setSelectionRange(start, start + (text.split("\n")[line - 1]?.length ?? 0))
  }
  return (
    <section class="editor" aria-label={say("scenarios.editor")}>
      <header>
        <h2>{say("scenarios.editor_of", { session: session || DEFAULT_SESSION })}</h2>
        <CopyButton text={text} label={`${say("copy.copy")}: YAML`} />
        {rules.value.length === 0 && edited === undefined && (
          <button type="button" class="action" onClick={() => change(EXAMPLE)}>
            {say("play.example")}
          </button>
        )}
        {edited !== undefined && (
          <button type="button" class="quiet" onClick={() => setEdited(undefined)}>
            {say("scenarios.discard")}
          </button>
        )}
        <button
          type="button"
          class="primary"
          disabled={mistakes.length > 0 || edited === undefined}
          onClick={() => void save()}
        >
          {say("scenarios.save", { session: session || DEFAULT_SESSION })}
        </button>
      </header>
      <div class="edit">
        <Lines text={text} mistakes={mistakes} />
        <textarea
          ref={area}
          wrap="off"
          spellcheck={false}
          rows={Math.max(10, text.split("\n").length + 1)}
          aria-label={say("scenarios.text")}
          aria-invalid={mistakes.length > 0}
          value={text}
          onInput={(event) => change(event.currentTarget.value)}
          onSelect={(event) => setCursor(event.currentTarget.selectionStart)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return
            event.preventDefault()
            void save()
          }}
        />
        <Help text={text} cursor={cursor} insert={insert} />
      </div>
      {mistakes.length > 0 && (
        <div role="alert">
          <ul class="mistakes">
            {mistakes.map(({ line, message: wrong, path }) => (
              <li key={`${line} ${path} ${wrong}`}>
                <button type="button" class="quiet" onClick={() => goTo(line)}>
                  {say("scenarios.line", { line })}
                </button>{" "}
                {showHidden(wrong)}
              </li>
            ))}
          </ul>
        </div>
      )}
      {message && (
        <p class={message.failed ? "message failed" : "message"} role={message.failed ? "alert" : "status"}>
          {message.text}
        </p>
      )}
    </section>
  )
}

/** Has the text checked while it is written. */
function useMistakes(text: string | undefined): RuleMistake[] {
  const [mistakes, setMistakes] = useState<RuleMistake[]>([])
  useEffect(() => {
    if (text === undefined) {
      setMistakes([])
      return undefined
    }
    let left = false
    const waiting = setTimeout(() => {
      checkRules(text).then(
        (found) => left || setMistakes(found.mistakes),
        () => {},
      )
    }, DELAY)
    return () => {
      left = true
      clearTimeout(waiting)
    }
  }, [text])
  return mistakes
}

/** Line numbers; that of a mistake is marked and tells it. */
function Lines({ text, mistakes }: { text: string; mistakes: readonly RuleMistake[] }) {
  const wrong = new Map(mistakes.map(({ line, message }) => [line, message]))
  return (
    <div class="lines" aria-hidden="true">
      {text.split("\n").map((_, index) => (
        <div key={index} class={wrong.has(index + 1) ? "wrong" : ""} title={wrong.get(index + 1)}>
          {index + 1}
        </div>
      ))}
    </div>
  )
}

/** What may stand where the cursor is; a click writes it. */
function Help({ text, cursor, insert }: { text: string; cursor: number; insert: (name: string) => void }) {
  const [schema, setSchema] = useState<JsonObject>()
  useEffect(() => {
    void getRuleSchema().then(setSchema)
  }, [])
  if (!schema) return null
  const path = findPath(text, cursor)
  const members = listMembers(schema, path)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section class="help-members" aria-label={say("scenarios.help")} tabIndex={0}>
      <h3>{path.length > 0 ? say("scenarios.members", { path: path.join(" › ") }) : say("scenarios.help")}</h3>
      {members.length === 0 && <p class="note">{say("scenarios.no_members")}</p>}
      <ul>
        {members.map(({ name, type, description }) => (
          <li key={name}>
            <button type="button" class="quiet" onClick={() => insert(name)}>
              <code>{name}</code>
            </button>
            <span class="note">{[type, description].filter(Boolean).join(" · ")}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}
