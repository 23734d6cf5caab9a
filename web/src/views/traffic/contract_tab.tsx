import type { ComponentChildren } from "preact"
import type { Exchange } from "../../api/types"
import { showHidden } from "../../format"
import { go } from "../../route"
import { say } from "../../words"
import { judgeAnswer, judgeOrder, judgeRequest, type Verdict } from "./verdict"

type Contract = NonNullable<Exchange["contract"]>
type Problem = Exchange["request"]["violations"][number] | Exchange["response"]["violations"][number]

/** What the contract has to say of request and answer. */
export function ContractTab({ exchange }: { exchange: Exchange }) {
  const { contract, request, response, explain } = exchange
  if (!contract) return <p class="note">{say("contract.unknown")}</p>
  const order = judgeOrder(exchange)
  return (
    <div class="contract">
      <h3>
        <code>{`${exchange.operation} · ${exchange.method} ${contract.path}`}</code>
      </h3>
      <p>{contract.summary}</p>
      <p class="note">
        {say("contract.known", {
          evidence: say(`contract.${contract.evidence}`),
          document: contract.document,
        })}
      </p>
      <Message name={say("contract.request")}>
        <Sentence verdict={judgeRequest(exchange)} text={describeRequest(exchange)} />
        <Problems problems={request.violations} label={say("contract.request")} />
      </Message>
      <Message name={say("contract.answer")}>
        <Sentence verdict={judgeAnswer(exchange)} text={describeAnswer(exchange)} />
        {(order === "keeps" || order === "violates") && (
          <Sentence verdict={order} text={say(`contract.grammar_${order}`)} />
        )}
        <Problems problems={response.violations} label={say("contract.answer")} />
        {explain.findings.length > 0 && (
          <>
            <h4>{say("contract.found")}</h4>
            <ul class="findings">
              {explain.findings.map((finding) => (
                <li key={finding}>{showHidden(finding)}</li>
              ))}
            </ul>
          </>
        )}
        <Declared contract={contract} status={exchange.status} />
      </Message>
    </div>
  )
}

function describeRequest(exchange: Exchange): string {
  const verdict = judgeRequest(exchange)
  return verdict === "unknown" ? say("contract.unknown") : say(`contract.request_${verdict}`)
}

/** Returns the verdict on an answer in a sentence. */
export function describeAnswer(exchange: Exchange): string {
  const verdict = judgeAnswer(exchange)
  if (verdict === "unknown") return say("contract.unknown")
  if (verdict === "unchecked" && exchange.open) return say("contract.answer_open")
  if (verdict === "violates" && exchange.finding === "damaged") return say("contract.answer_damaged")
  return say(`contract.answer_${verdict}`)
}

function Message({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <section aria-label={name}>
      <h3>{name}</h3>
      {children}
    </section>
  )
}

export function Sentence({ verdict, text }: { verdict: Verdict; text: string }) {
  const sign = verdict === "keeps" ? "✓" : verdict === "violates" ? "✗" : "–"
  return (
    <p class={`verdict ${verdict}`}>
      <span aria-hidden="true">{sign}</span> {text}
    </p>
  )
}

function Problems({ problems, label }: { problems: readonly Problem[]; label: string }) {
  if (problems.length === 0) return null
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section class="scroll" tabIndex={0} aria-label={`${label}: ${say("contract.problem")}`}>
      <table class="problems">
        <thead>
          <tr>
            <th scope="col">{say("contract.part")}</th>
            <th scope="col">{say("contract.member")}</th>
            <th scope="col">{say("contract.problem")}</th>
          </tr>
        </thead>
        <tbody>
          {problems.map((problem, index) => (
            <tr key={index}>
              <td>
                <Part problem={problem} />
              </td>
              <td>{problem.member === null ? say("contract.whole") : <code>{showHidden(problem.member)}</code>}</td>
              <td>{showHidden(problem.message)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** What a problem is about; an event leads to the stream. */
function Part({ problem }: { problem: Problem }) {
  if (!("event" in problem) || problem.event === null) return <>{say(`contract.${problem.part}`)}</>
  return (
    <button type="button" class="quiet" onClick={() => go({ tab: "stream" })}>
      {say("contract.event_number", { number: problem.event })}
    </button>
  )
}

function Declared({ contract, status }: { contract: Contract; status: number }) {
  return (
    <dl class="facts-list">
      <div>
        <dt>{say("contract.statuses")}</dt>
        <dd>
          {contract.statuses.map((each) => (
            <span key={each} class={each === String(status) ? "declared chosen" : "declared"}>
              {each}
            </span>
          ))}
        </dd>
      </div>
      {contract.headers.length > 0 && (
        <div>
          <dt>{say("contract.headers")}</dt>
          <dd>
            <ul class="declared-headers">
              {contract.headers.map(({ name, required, sent }) => (
                <li key={name}>
                  <code>{name}</code> · {say(required ? "contract.required" : "contract.optional")} ·{" "}
                  <span class={required && !sent ? "fault" : ""}>
                    {say(sent ? "contract.sent" : required ? "contract.missing" : "contract.not_sent")}
                  </span>
                </li>
              ))}
            </ul>
          </dd>
        </div>
      )}
    </dl>
  )
}
