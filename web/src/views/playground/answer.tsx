import { useState } from "preact/hooks"
import { clientUrl } from "../../api/client"
import { NO_ANSWER } from "../../api/gateway_call"
import type { CallContent } from "../../api/types"
import { formatDuration } from "../../format"
import { Code } from "../../parts/code"
import { CopyButton } from "../../parts/copy"
import { Tabs } from "../../parts/tabs"
import { say } from "../../words"
import { type Target, targetsOf, writeCode } from "../traffic/code"
import { joinTexts, readConversation, type Turn } from "../traffic/conversation"
import { Answers } from "../traffic/conversation_tab"
import { agree, makeRequest, QuestionError, toExchange } from "./request"
import { change, chosenQuestion, question, type Run, runs, streams } from "./state"

const TABS = ["answer", "code"] as const
type Tab = (typeof TABS)[number]

/** What the model says, or the code that asks it. */
export function AnswerColumn({ session }: { session: string }) {
  const [tab, setTab] = useState<Tab>("answer")
  return (
    <section class="column">
      <h2 class="hidden">{say("play.answer")}</h2>
      <Tabs
        label={say("play.parts")}
        tabs={TABS.map((id) => ({ id, name: say(`play.${id}`) }))}
        chosen={tab}
        choose={setTab}
      />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard */}
      <div class="panel" id="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {tab === "answer" ? <AnswerPanel /> : <CodePanel session={session} />}
      </div>
    </section>
  )
}

interface Read {
  run: Run
  exchange: CallContent
  answers: Turn[]
}

function readRun(run: Run): Read {
  const exchange = toExchange(run.request, run.answer, streams(run))
  return { run, exchange, answers: readConversation(exchange)?.answers ?? [] }
}

function AnswerPanel() {
  if (runs.value.length === 0) return <p class="note">{say("play.start")}</p>
  const read = runs.value.map(readRun)
  const [one, other] = read
  const ended = read.every(({ run }) => run.answer.end !== "running")
  return (
    <>
      {one && other && ended && (
        <p class={agree(one.answers, other.answers) ? "message" : "message failed"} role="status">
          {say(agree(one.answers, other.answers) ? "play.same" : "play.different")}
        </p>
      )}
      {read.map((each, index) => (
        <AnswerBlock key={index} read={each} named={read.length > 1} />
      ))}
      {ended && one && !other && one.answers[0] && <GoOn turn={one.answers[0]} />}
    </>
  )
}

function AnswerBlock({ read: { run, exchange, answers }, named }: { read: Read; named: boolean }) {
  const { answer } = run
  const waiting = answers.length === 0 && answer.end === "running"
  return (
    <section
      class="said-answer"
      aria-label={named ? nameWay(run) : say("play.answer")}
      aria-busy={answer.end === "running"}
    >
      <p class="note">
        {named && <b>{nameWay(run)} · </b>}
        <Outcome run={run} />
      </p>
      {!waiting && <Answers exchange={exchange} answers={answers} />}
    </section>
  )
}

const nameWay = (run: Run): string => say(streams(run) ? "play.streamed" : "play.plain")

function Outcome({ run: { answer } }: { run: Run }) {
  const broken = answer.end === "broken" || answer.status >= 400
  return (
    <span class={broken ? "outcome failed" : "outcome"}>
      {answer.status || "–"} · {formatDuration(answer.duration)} · {say(`play.end_${answer.end}`)}
    </span>
  )
}

/** Puts the answer into the conversation, so that the next question follows it. */
function GoOn({ turn }: { turn: Turn }) {
  const text = joinTexts(turn)
  if (!text) return null
  const go = () => {
    change({ messages: [...question.value.messages, { role: "assistant", text }, { role: "user", text: "" }] })
    runs.value = []
    requestAnimationFrame(() => document.getElementById("question")?.focus())
  }
  return (
    <button type="button" class="action go-on" onClick={go}>
      {say("play.go_on")}
    </button>
  )
}

const NAMES: Record<Target, string> = {
  curl: "curl",
  openai: "Python",
  anthropic: "Python",
  google: "Python",
  fetch: "TypeScript",
}

function CodePanel({ session }: { session: string }) {
  const exchange = readQuestion()
  if (typeof exchange === "string") return <p class="message failed">{exchange}</p>
  return (
    <>
      {targetsOf(exchange).map((target) => {
        const code = writeCode(exchange, target, clientUrl(session))
        return (
          <section key={target} class="body">
            <h3>{NAMES[target]}</h3>
            <CopyButton text={code} label={`${say("copy.copy")}: ${NAMES[target]}`} />
            <Code text={code} label={NAMES[target]} />
          </section>
        )
      })}
    </>
  )
}

/** Returns the question as a call, or what is wrong with it. */
function readQuestion(): CallContent | string {
  try {
    const asked = chosenQuestion()
    return toExchange(makeRequest(asked), NO_ANSWER, asked.stream)
  } catch (error) {
    if (error instanceof QuestionError) return say("play.not_json", { message: error.message })
    throw error
  }
}
