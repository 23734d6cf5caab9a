import { useEffect, useState } from "preact/hooks"
import { getExchange } from "../../api/client"
import { type Exchange, modelOf, type Row } from "../../api/types"
import { formatCost, formatCount, formatDuration, formatInstant, showHidden } from "../../format"
import { Tabs } from "../../parts/tabs"
import { go, route } from "../../route"
import { say } from "../../words"
import "./call.css"
import { CallActions, CallDialog, type DialogName } from "./call_actions"
import { calls, splitKey, version } from "./calls"
import { ContractTab } from "./contract_tab"
import { protocolOf } from "./conversation"
import { ConversationTab } from "./conversation_tab"
import { RawTab } from "./raw_tab"
import { StreamTab } from "./stream_tab"
import { WhyTab } from "./why_tab"

const TABS = ["conversation", "stream", "raw", "why", "contract"] as const
type TabName = (typeof TABS)[number]

function chosenTab(row: Row | undefined): TabName {
  const wanted = TABS.find((tab) => tab === route.value.tab)
  if (wanted) return wanted
  return row && !protocolOf(row.operation) ? "raw" : "conversation"
}

export function chooseTab(number: number): void {
  const tab = TABS[number]
  if (tab) go({ tab })
}

/** The selected call: what was said, when, why, and what to do with it. */
export function Detail({
  dialog,
  open,
}: {
  dialog: DialogName | undefined
  open: (name: DialogName | undefined) => void
}) {
  const key = route.value.call
  void version.value
  const row = calls.get(key)?.row
  const { exchange, gone } = useExchange(key, row)
  const shown = row ?? (exchange ? { ...exchange, session: sessionOf(key) } : undefined)
  const tab = chosenTab(shown)
  return (
    <section class="detail" aria-label={say("detail.label")}>
      <header>
        {shown && <Heading row={shown} />}
        <button
          type="button"
          class="quiet close"
          aria-label={say("detail.close")}
          onClick={() => go({ call: "", tab: "" })}
        >
          ✕
        </button>
      </header>
      <div class="toolbar">
        <Tabs
          label={say("detail.tabs")}
          tabs={TABS.map((id) => ({ id, name: say(`tab.${id}`) }))}
          chosen={tab}
          choose={(id) => go({ tab: id })}
        />
        {exchange && <CallActions exchange={exchange} session={sessionOf(key)} open={open} />}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard */}
      <div class={`panel ${tab}`} role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {exchange ? (
          <Panel tab={tab} exchange={exchange} session={sessionOf(key)} />
        ) : (
          <p class="note">{say(gone ? "detail.gone" : "detail.loading")}</p>
        )}
      </div>
      {dialog && exchange && <CallDialog name={dialog} exchange={exchange} call={key} close={() => open(undefined)} />}
    </section>
  )
}

const sessionOf = (key: string): string => splitKey(key)[0]

/** Reads a call, and reads it again when it has ended. */
function useExchange(key: string, row: Row | undefined): { exchange: Exchange | undefined; gone: boolean } {
  const [state, setState] = useState<{ key: string; exchange?: Exchange }>({ key: "" })
  const open = row?.open ?? false
  useEffect(() => {
    let stale = false
    getExchange(...splitKey(key)).then(
      (exchange) => stale || setState({ key, exchange }),
      () => stale || setState({ key }),
    )
    return () => {
      stale = true
    }
  }, [key, open])
  return { exchange: state.key === key ? state.exchange : undefined, gone: state.key === key && !state.exchange }
}

function Panel({ tab, exchange, session }: { tab: TabName; exchange: Exchange; session: string }) {
  if (tab === "conversation") return <ConversationTab exchange={exchange} />
  if (tab === "stream") return <StreamTab exchange={exchange} />
  if (tab === "raw") return <RawTab exchange={exchange} />
  if (tab === "contract") return <ContractTab exchange={exchange} />
  return <WhyTab exchange={exchange} session={session} />
}

function Heading({ row }: { row: Row }) {
  return (
    <div class="heading">
      <h2>
        {row.operation ?? `${row.method} ${showHidden(row.path)}`}{" "}
        <span class={`status s${String(row.status)[0]}`}>{row.status || "—"}</span>
      </h2>
      <p class="facts">
        <span>#{row.number}</span>
        <span>{formatInstant(row.at)}</span>
        {modelOf(row) && <span>{showHidden(modelOf(row))}</span>}
        <span>{formatDuration(row.duration_ms)}</span>
        {row.usage && (
          <span>
            {formatCount(row.usage.prompt)} → {formatCount(row.usage.completion)}
            {row.end !== "finish" && ` ${say("detail.billed")}`}
          </span>
        )}
        {row.cost && <span>¥{formatCost(row.cost)}</span>}
        {row.finding && <span class={`finding ${row.finding}`}>{say(`finding.${row.finding}`)}</span>}
      </p>
    </div>
  )
}
