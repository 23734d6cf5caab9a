import { useState } from "preact/hooks"
import type { Console, CreatedKey, Key, KeyLimits, RotatedKey } from "../../api/console"
import { formatCount } from "../../format"
import { OutcomeLine, useAction } from "../../parts/action"
import { CopyButton } from "../../parts/copy"
import { say } from "../../words"
import type { WordKey } from "../../words/en"
import { CallsLink } from "./figures"
import { DeleteKey, KeyForm, NewSecret } from "./key_dialogs"
import { useLimits } from "./limits"
import { money } from "./money"
import { nameTeam, type Organisation } from "./read"
import { Instant } from "./summary"
import { Table } from "./tables"

interface Props {
  content: Organisation
  console: Console
  again: () => void
}

/** The keys with their state and limits, and what was used with them; disables, enables and rotates them. */
export function Keys({ content, console, again }: Props) {
  const [secret, setSecret] = useState<RotatedKey | CreatedKey>()
  const [asking, setAsking] = useState<{ what: "new" | "change" | "delete"; key?: Key }>()
  const limits = useLimits(console.session)
  const { outcome, run } = useAction()
  const { plan, business, byKey } = content
  const planned = { ...plan, concurrency_limit: null }
  const change = (key: Key, what: "disable" | "enable") =>
    void run(async () => {
      await console.changeKey(key.id, what)
      again()
      return say(`organisation.${what}_done`, { name: key.name })
    })
  const rotate = (key: Key) =>
    void run(async () => {
      setSecret(await console.rotateKey(key.id))
      again()
      return undefined
    })
  const done = (created?: CreatedKey) => {
    setAsking(undefined)
    setSecret(created)
    again()
  }
  const close = () => setAsking(undefined)
  const usage = (key: Key) => byKey.find((row) => row.key_id === key.id)
  return (
    <Table
      title={say("organisation.keys")}
      note={say("organisation.keys_note")}
      rows={content.keys}
      keyOf={(key) => key.id}
      empty={say("organisation.no_keys")}
      columns={[
        {
          name: say("organisation.name"),
          cell: (key) => <CallsLink filter={`key:${key.key_prefix}`}>{key.name}</CallsLink>,
        },
        {
          name: say("organisation.prefix"),
          cell: (key) => (
            <>
              <code>{key.key_prefix}</code>{" "}
              <CopyButton text={key.key_prefix} label={`${say("copy.copy")}: ${key.key_prefix} (${key.name})`} />
            </>
          ),
        },
        {
          name: say("organisation.state"),
          cell: (key) => <span class={key.status === "active" ? undefined : "bad"}>{key.status}</span>,
        },
        {
          name: say("organisation.actions"),
          cell: (key) => <Actions key={key.id} of={key} change={change} rotate={rotate} ask={setAsking} />,
        },
        { name: say("organisation.team"), cell: (key) => nameTeam(key.team_id, business) ?? "–" },
        ...LIMITS.map(({ word, used, limit }) => ({
          name: say(word),
          number: true,
          cell: (key: Key) => {
            const found = limits.get(key.id)?.[used]
            return <Limit used={found?.used ?? 0} most={found?.most ?? key[limit] ?? planned[limit]} />
          },
        })),
        { name: say("organisation.requests"), number: true, cell: (key) => formatCount(usage(key)?.requests ?? 0) },
        { name: say("organisation.cost"), number: true, cell: (key) => money(usage(key)?.cost_rmb ?? "0.0000") },
        { name: say("organisation.expires"), cell: (key) => <Instant at={key.expires_at} /> },
        { name: say("organisation.grace"), cell: (key) => <Instant at={key.rotate_grace_until} /> },
        {
          name: say("organisation.allowed_models"),
          cell: (key) => key.models_allowed?.join(", ") || say("organisation.any"),
        },
        { name: say("organisation.addresses"), cell: (key) => key.allowed_ips?.join(", ") || say("organisation.any") },
      ]}
    >
      <OutcomeLine outcome={outcome} />
      <p>
        <button type="button" class="action" onClick={() => setAsking({ what: "new" })}>
          {say("keys.new")}
        </button>
      </p>
      {asking && asking.what !== "delete" && (
        <KeyForm
          {...(asking.key && { of: asking.key })}
          content={content}
          console={console}
          done={done}
          close={close}
        />
      )}
      {asking?.what === "delete" && asking.key && (
        <DeleteKey of={asking.key} console={console} done={done} close={close} />
      )}
      {secret && <NewSecret of={secret} close={() => setSecret(undefined)} />}
    </Table>
  )
}

const LIMITS = [
  { word: "organisation.rpm", used: "requests_per_minute", limit: "rpm_limit" },
  { word: "organisation.tpm", used: "tokens_per_minute", limit: "tpm_limit" },
  { word: "organisation.concurrency", used: "concurrent_calls", limit: "concurrency_limit" },
] as const satisfies readonly { word: WordKey; used: keyof KeyLimits; limit: keyof Key }[]

/** What is used of a limit now. */
function Limit({ used, most }: { used: number; most: number | null }) {
  // the plan does not say how many calls may be made at once
  if (most === null) return <>{formatCount(used)}</>
  return (
    <span class={used >= most ? "bad" : undefined}>
      {formatCount(used)} / {formatCount(most)}
    </span>
  )
}

interface ActionsProps {
  of: Key
  change: (key: Key, what: "disable" | "enable") => void
  rotate: (key: Key) => void
  ask: (what: { what: "change" | "delete"; key: Key }) => void
}

function Actions({ of: key, change, rotate, ask }: ActionsProps) {
  const what = key.status === "active" ? "disable" : "enable"
  const actions: [WordKey, () => void][] = [
    ...(key.status === "expired" ? [] : ([[`organisation.${what}`, () => change(key, what)]] as const)),
    ...(key.status === "active" ? ([["organisation.rotate", () => rotate(key)]] as const) : []),
    ["keys.edit", () => ask({ what: "change", key })],
    ["scenarios.delete", () => ask({ what: "delete", key })],
  ].map(([word, act]) => [word, act] as [WordKey, () => void])
  return (
    <span class="row-actions">
      {actions.map(([word, act]) => (
        <button key={word} type="button" class="quiet action" aria-label={`${say(word)}: ${key.name}`} onClick={act}>
          {say(word)}
        </button>
      ))}
    </span>
  )
}
