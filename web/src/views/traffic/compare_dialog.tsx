import { useEffect, useState } from "preact/hooks"
import { getExchange } from "../../api/client"
import { type Exchange, modelOf, type Row } from "../../api/types"
import { formatTime, showHidden } from "../../format"
import { Dialog } from "../../parts/dialog"
import { go, route } from "../../route"
import { say } from "../../words"
import { calls, type Entry, splitKey } from "./calls"
import { type Cut, compareCalls, cutTexts, type Difference, type Group } from "./compare"

const MOST = 300

/** Two calls side by side: the members in which they differ. The address names both. */
export function CompareDialog({ exchange, call, close }: { exchange: Exchange; call: string; close: () => void }) {
  const others = [...calls.shown]
    .filter((entry) => entry.key !== call)
    .slice(-MOST)
    .reverse()
  const chosen = route.value.item || (suggest(others, exchange)?.key ?? "")
  const other = useOther(chosen)
  const leave = () => {
    go({ item: "" })
    close()
  }
  return (
    <Dialog title={say("compare.title")} close={leave}>
      <div class="compare">
        <label>
          {say("compare.with", { number: exchange.number })}
          <select value={chosen} onChange={(event) => go({ item: event.currentTarget.value })}>
            {chosen === "" && <option value="">{say("compare.none")}</option>}
            {chosen !== "" && !others.some((entry) => entry.key === chosen) && <option value={chosen}>{chosen}</option>}
            {others.map((entry) => (
              <option key={entry.key} value={entry.key}>
                {describeRow(entry.row)}
              </option>
            ))}
          </select>
        </label>
        {other === null && <p class="note">{say("detail.gone")}</p>}
        {other && <Comparison one={exchange} other={other} />}
      </div>
      <div class="actions">
        <button type="button" class="primary" onClick={leave}>
          {say("detail.close")}
        </button>
      </div>
    </Dialog>
  )
}

/** Returns the call that is compared if none is chosen: the one before of the same operation, or else any other. */
function suggest(others: readonly Entry[], exchange: Exchange): Entry | undefined {
  const same = others.filter(({ row }) => row.operation === exchange.operation)
  return same.find(({ row }) => row.at <= exchange.at && row.number < exchange.number) ?? same[0] ?? others[0]
}

function describeRow(row: Row): string {
  const name = row.operation ?? `${row.method} ${showHidden(row.path)}`
  const parts = [`#${row.number}`, formatTime(row.at), name, showHidden(modelOf(row)), row.status || "—"]
  return parts.filter(Boolean).join(" · ")
}

/** Reads the other call; null if the journal no longer holds it. */
function useOther(key: string): Exchange | null | undefined {
  const [read, setRead] = useState<{ key: string; exchange: Exchange | null }>()
  useEffect(() => {
    if (!key) return undefined
    let stale = false
    getExchange(...splitKey(key)).then(
      (exchange) => stale || setRead({ key, exchange }),
      () => stale || setRead({ key, exchange: null }),
    )
    return () => {
      stale = true
    }
  }, [key])
  return read?.key === key ? read.exchange : undefined
}

function Comparison({ one, other }: { one: Exchange; other: Exchange }) {
  const groups = compareCalls(one, other)
  const different = groups.some(({ name, differences }) => name !== "volatile" && differences.length > 0)
  return (
    <>
      {!different && <p class="note">{say("compare.equal")}</p>}
      {groups.map((group) => (
        <GroupTable key={group.name} group={group} one={one.number} other={other.number} />
      ))}
    </>
  )
}

function GroupTable({ group, one, other }: { group: Group; one: number; other: number }) {
  if (group.differences.length === 0) return null
  const table = (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section class="scroll" tabIndex={0} aria-label={say(`compare.${group.name}`)}>
      <table class="differences">
        <thead>
          <tr>
            <th scope="col">{say("contract.member")}</th>
            <th scope="col">#{one}</th>
            <th scope="col">#{other}</th>
          </tr>
        </thead>
        <tbody>
          {group.differences.map((each) => (
            <DifferenceRow key={each.member} difference={each} timing={group.name === "timing"} />
          ))}
        </tbody>
      </table>
    </section>
  )
  if (group.name === "volatile") {
    return (
      <details>
        <summary>{say("compare.volatile")}</summary>
        {table}
      </details>
    )
  }
  return (
    <>
      <h3>
        {say(`compare.${group.name}`)}{" "}
        {group.same > 0 && <span class="note">· {say("compare.same", { count: group.same })}</span>}
      </h3>
      {table}
    </>
  )
}

const TIMES = ["total", "first", "events", "speed", "gap"] as const

function DifferenceRow({ difference: { member, one, other }, timing }: { difference: Difference; timing: boolean }) {
  const time = timing ? TIMES.find((each) => each === member) : undefined
  const [left, right] = one !== undefined && other !== undefined ? cutTexts(one, other) : [whole(one), whole(other)]
  return (
    <tr>
      <th scope="row">{time ? say(`compare.time_${time}`) : <code>{showHidden(member)}</code>}</th>
      <Cell cut={left} />
      <Cell cut={right} />
    </tr>
  )
}

const LONGEST = 400

const whole = (text: string | undefined): Cut | undefined => (text === undefined ? undefined : ["", text, ""])

function Cell({ cut }: { cut: Cut | undefined }) {
  if (!cut) return <td class="note">{say("compare.absent")}</td>
  const [before, middle, after] = cut
  const shown = middle.length > LONGEST ? `${middle.slice(0, LONGEST)}…` : middle
  return (
    <td>
      {showHidden(before)}
      {shown && <mark>{showHidden(shown)}</mark>}
      {showHidden(after)}
    </td>
  )
}
