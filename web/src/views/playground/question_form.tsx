import { useEffect, useState } from "preact/hooks"
import { listScenarios } from "../../api/client"
import { gatewayKey, setGatewayKey } from "../../api/gateway"
import type { Protocol } from "../../api/gateway_call"
import type { Scenario } from "../../api/types"
import { say } from "../../words"
import type { Message, QuestionError } from "./request"
import { change, chosenQuestion, isRunning, modelsOf, question, stop } from "./state"

const PROTOCOLS: [Protocol, string][] = [
  ["openai", "OpenAI"],
  ["anthropic", "Anthropic"],
  ["gemini", "Gemini"],
]
const TOOL_EXAMPLE = JSON.stringify(
  [
    {
      name: "get_weather",
      description: "The forecast for a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  ],
  null,
  2,
)
const SCHEMA_EXAMPLE = JSON.stringify(
  {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" } },
    required: ["name", "age"],
    additionalProperties: false,
  },
  null,
  2,
)

interface Props {
  /** Why the gateway lists no models; empty if it does. */
  refused: string
  mistake: QuestionError | undefined
  send: () => void
  compare: () => void
}

/** The question, as the three protocols can ask it. */
export function QuestionForm({ refused, mistake, send, compare }: Props) {
  const { protocol, system, stream, scenario } = question.value
  return (
    <form
      class="question"
      aria-label={say("play.question")}
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return
        event.preventDefault()
        send()
      }}
    >
      <fieldset>
        <legend>{say("play.protocol")}</legend>
        <div class="choices">
          {PROTOCOLS.map(([id, name]) => (
            <label key={id}>
              <input type="radio" name="protocol" checked={protocol === id} onChange={() => change({ protocol: id })} />{" "}
              {name}
            </label>
          ))}
        </div>
      </fieldset>
      <div class="pair">
        <label>
          {say("play.model")}
          <select
            aria-label={say("play.model")}
            value={chosenQuestion().model}
            onChange={(event) => change({ model: event.currentTarget.value })}
          >
            {modelsOf(protocol).map((id) => (
              <option key={id}>{id}</option>
            ))}
          </select>
        </label>
        <label>
          {say("play.key")}
          <input
            value={gatewayKey.value}
            autocomplete="off"
            spellcheck={false}
            onChange={(event) => setGatewayKey(event.currentTarget.value.trim())}
          />
        </label>
      </div>
      {refused && (
        <p class="message failed" role="alert">
          {refused}
        </p>
      )}
      <label>
        {say("play.system")}
        <textarea rows={2} value={system} onInput={(event) => change({ system: event.currentTarget.value })} />
      </label>
      <Messages />
      <JsonField field="tools" example={TOOL_EXAMPLE} mistake={mistake} />
      <JsonField field="schema" example={SCHEMA_EXAMPLE} mistake={mistake} />
      <ScenarioField value={scenario} />
      <label class="inline">
        <input type="checkbox" checked={stream} onChange={(event) => change({ stream: event.currentTarget.checked })} />{" "}
        {say("play.stream")}
      </label>
      <div class="actions">
        <button type="submit" class="primary">
          {say("play.send")}
        </button>
        <button type="button" class="action" title={say("play.compare_hint")} onClick={compare}>
          {say("play.compare")}
        </button>
        {isRunning() && (
          <button type="button" class="quiet" onClick={stop}>
            {say("play.stop")}
          </button>
        )}
      </div>
    </form>
  )
}

function Messages() {
  const { messages } = question.value
  const put = (index: number, part: Partial<Message>) =>
    change({ messages: messages.map((each, at) => (at === index ? { ...each, ...part } : each)) })
  const add = () =>
    change({ messages: [...messages, { role: messages.at(-1)?.role === "user" ? "assistant" : "user", text: "" }] })
  return (
    <fieldset>
      <legend>{say("play.messages")}</legend>
      {messages.map((message, index) => (
        <div class="message-row" key={index}>
          <select
            aria-label={say("play.role", { number: index + 1 })}
            value={message.role}
            onChange={(event) => put(index, { role: event.currentTarget.value as Message["role"] })}
          >
            <option value="user">{say("role.user")}</option>
            <option value="assistant">{say("role.assistant")}</option>
          </select>
          <textarea
            id={index === messages.length - 1 ? "question" : undefined}
            rows={index === messages.length - 1 ? 3 : 2}
            dir="auto"
            aria-label={say("play.message", { number: index + 1 })}
            value={message.text}
            onInput={(event) => put(index, { text: event.currentTarget.value })}
          />
          {messages.length > 1 && (
            <button
              type="button"
              class="quiet"
              aria-label={say("play.remove", { number: index + 1 })}
              onClick={() => change({ messages: messages.filter((_, at) => at !== index) })}
            >
              ✕
            </button>
          )}
        </div>
      ))}
      <button type="button" class="action" onClick={add}>
        {say("play.add")}
      </button>
    </fieldset>
  )
}

interface JsonProps {
  field: "tools" | "schema"
  example: string
  mistake: QuestionError | undefined
}

/** A member of the question that is written as JSON, with its mistake below it. */
function JsonField({ field, example, mistake }: JsonProps) {
  const value = question.value[field]
  const wrong = mistake?.field === field
  const [open, setOpen] = useState(value !== "")
  return (
    <details open={open || wrong} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{say(`play.${field}`)}</summary>
      <textarea
        class="json"
        rows={6}
        spellcheck={false}
        aria-label={say(`play.${field}`)}
        aria-invalid={wrong}
        placeholder={example}
        value={value}
        onInput={(event) => change({ [field]: event.currentTarget.value })}
      />
      {wrong && (
        <p class="message failed" role="alert">
          {say("play.not_json", { message: mistake.message })}
        </p>
      )}
      {value === "" && (
        <button type="button" class="action" onClick={() => change({ [field]: example })}>
          {say("play.example")}
        </button>
      )}
    </details>
  )
}

function ScenarioField({ value }: { value: string }) {
  const [known, setKnown] = useState<Scenario[]>([])
  useEffect(() => {
    void listScenarios("").then((found) => setKnown(found.items))
  }, [])
  return (
    <>
      <label>
        {say("play.scenario")}
        <input
          list="scenarios"
          value={value}
          placeholder="cut; after=5"
          spellcheck={false}
          autocomplete="off"
          onInput={(event) => change({ scenario: event.currentTarget.value })}
        />
      </label>
      <datalist id="scenarios">
        {known.map((each) => (
          <option key={each.name} value={each.header.replace("X-Mock-Scenario: ", "")}>
            {each.title}
          </option>
        ))}
      </datalist>
    </>
  )
}
