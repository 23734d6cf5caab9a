import { useState } from "preact/hooks"
import { clientUrl } from "../../api/client"
import type { Exchange } from "../../api/types"
import { copyText } from "../../parts/copy"
import { say } from "../../words"
import { splitKey } from "./calls"
import { type Target, targetsOf, writeCode } from "./code"
import { CompareDialog } from "./compare_dialog"
import { ReplayDialog } from "./replay_dialog"
import { RuleDialog } from "./rule_dialog"
import { TestDialog } from "./test_dialog"

/** What is done with a call in a dialog. */
export type DialogName = "rule" | "test" | "compare" | "replay"

const DIALOGS: readonly DialogName[] = ["rule", "test", "compare", "replay"]

interface ActionsProps {
  exchange: Exchange
  session: string
  open: (name: DialogName) => void
}

/** What can be done with a call. */
export function CallActions({ exchange, session, open }: ActionsProps) {
  return (
    <div class="call-actions">
      <CopyMenu exchange={exchange} session={session} />
      {DIALOGS.filter((name) => exchange.operation || name === "compare").map((name) => (
        <button key={name} type="button" class="action" onClick={() => open(name)}>
          {say(`detail.${name}`)}
        </button>
      ))}
    </div>
  )
}

interface DialogProps {
  name: DialogName
  exchange: Exchange
  /** The key of the call: `session/number`. */
  call: string
  close: () => void
}

export function CallDialog({ name, exchange, call, close }: DialogProps) {
  const [session] = splitKey(call)
  if (name === "test") return <TestDialog exchange={exchange} close={close} />
  if (name === "compare") return <CompareDialog exchange={exchange} call={call} close={close} />
  if (name === "replay") return <ReplayDialog exchange={exchange} session={session} close={close} />
  return <RuleDialog exchange={exchange} session={session} close={close} />
}

function CopyMenu({ exchange, session }: { exchange: Exchange; session: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async (target: Target) => {
    await copyText(writeCode(exchange, target, clientUrl(session)))
    setCopied(true)
    setTimeout(() => setCopied(false), 1500)
  }
  return (
    <select
      class="action"
      aria-label={say("copy.as")}
      value=""
      onChange={(event) => {
        const target = targetsOf(exchange).find((each) => each === event.currentTarget.value)
        event.currentTarget.value = ""
        if (target) void copy(target)
      }}
    >
      <option value="">{copied ? say("copy.copied") : say("copy.as")}</option>
      {targetsOf(exchange).map((target) => (
        <option key={target} value={target}>
          {say(`copy.${target}`)}
        </option>
      ))}
    </select>
  )
}
