import type { CallContent, Exchange } from "../../api/types"
import { showHidden } from "../../format"
import { say } from "../../words"
import { type Part, readConversation, type Turn } from "./conversation"

const ROLES = ["system", "developer", "user", "assistant", "tool"] as const
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/

/** What was said, as a person reads it. */
export function ConversationTab({ exchange }: { exchange: Exchange }) {
  const conversation = readConversation(exchange)
  if (!conversation) return <p class="note">{say("conversation.none")}</p>
  const { tools, asked, answers } = conversation
  return (
    <>
      {tools.length > 0 && (
        <p class="note tools">
          {say("conversation.tools")}:{" "}
          {tools.map((name) => (
            <code key={name}>{showHidden(name)}</code>
          ))}
        </p>
      )}
      {asked.map((turn, index) => (
        <TurnBlock key={index} turn={turn} name={nameRole(turn.role)} />
      ))}
      <Answers exchange={exchange} answers={answers} />
    </>
  )
}

/** What the model has said, or the error that came in its place. */
export function Answers({ exchange, answers }: { exchange: CallContent; answers: readonly Turn[] }) {
  if (answers.length === 0) return <ErrorText exchange={exchange} />
  return (
    <>
      {answers.map((turn, index) => (
        <TurnBlock
          key={index}
          turn={turn}
          answer
          name={answers.length > 1 ? say("conversation.choice", { number: index + 1 }) : say("conversation.answer")}
        />
      ))}
    </>
  )
}

function nameRole(role: string): string {
  const known = ROLES.find((each) => each === role)
  return known ? say(`role.${known}`) : showHidden(role)
}

/** What an error says, in place of an answer. */
function ErrorText({ exchange }: { exchange: CallContent }) {
  const message = /"message":\s*("(?:[^"\\]|\\.)*")/.exec(JSON.stringify(exchange.response.body ?? ""))?.[1]
  return (
    <article class="turn error">
      <h3>{exchange.status || say("row.no_status")}</h3>
      <p class="said">{message ? showHidden(JSON.parse(message) as string) : say("raw.empty")}</p>
    </article>
  )
}

function TurnBlock({ turn, name, answer = false }: { turn: Turn; name: string; answer?: boolean }) {
  return (
    <article class={`turn ${answer ? "answer" : turn.role}`}>
      <h3>{name}</h3>
      {turn.parts.map((part, index) => (
        <PartBlock key={index} part={part} />
      ))}
    </article>
  )
}

function PartBlock({ part }: { part: Part }) {
  if (part.kind === "text") return <Said text={part.text} />
  if (part.kind === "image") return <Picture source={part.source} />
  if (part.kind === "reasoning") {
    return (
      <details open>
        <summary>{say("conversation.reasoning")}</summary>
        <Said text={part.text} />
      </details>
    )
  }
  return (
    <div class="tool">
      <h4>{say(`conversation.${part.kind}`, { name: showHidden(part.name) })}</h4>
      <pre class="said">{showHidden(part.text)}</pre>
    </div>
  )
}

function Said({ text }: { text: string }) {
  return (
    <p class="said" dir="auto">
      {showHidden(text)}
      {text.endsWith("…") && text.length > 4000 && <span class="cut">{say("conversation.cut")}</span>}
    </p>
  )
}

function Picture({ source }: { source: string }) {
  if (PICTURE.test(source)) return <img src={source} alt={say("conversation.picture")} />
  return <p class="note">{say("conversation.picture_elsewhere", { url: showHidden(source.slice(0, 200)) })}</p>
}
