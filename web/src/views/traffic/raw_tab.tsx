import type { Exchange, Headers } from "../../api/types"
import { showHidden } from "../../format"
import { Code } from "../../parts/code"
import { CopyButton } from "../../parts/copy"
import { say } from "../../words"

/** Request and answer as they were sent, credentials masked. */
export function RawTab({ exchange }: { exchange: Exchange }) {
  const { request, response } = exchange
  const query = request.query ? `?${request.query}` : ""
  return (
    <>
      <h3>
        {say("raw.request")} <code>{`${exchange.method} ${showHidden(exchange.path + query)}`}</code>
      </h3>
      <HeaderTable headers={request.headers} />
      <Body value={request.body} truncated={request.truncated} label={say("raw.request")} />
      <h3>
        {say("raw.response")} <code>{exchange.status || "—"}</code>
      </h3>
      <HeaderTable headers={response.headers} />
      {exchange.stream ? (
        <Body value={response.events.join("")} truncated={response.truncated} label={say("raw.events")} />
      ) : (
        <Body value={response.body} truncated={response.truncated} label={say("raw.response")} />
      )}
    </>
  )
}

function HeaderTable({ headers }: { headers: Headers }) {
  return (
    <table class="headers">
      <tbody>
        {headers.map(([name = "", value = ""], index) => (
          <tr key={index}>
            <th scope="row">{showHidden(name)}</th>
            <td>{showHidden(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Body({ value, truncated, label }: { value: unknown; truncated: boolean; label: string }) {
  if (value === null || value === undefined || value === "") return <p class="note">{say("raw.empty")}</p>
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2)
  return (
    <div class="body">
      <CopyButton text={text} label={`${say("copy.copy")}: ${label}`} />
      {truncated && <p class="note">{say("raw.truncated")}</p>}
      <Code text={text} json={typeof value !== "string"} label={label} />
    </div>
  )
}
