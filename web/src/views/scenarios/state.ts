import { signal } from "@preact/signals"
import { listAllErrors, listRules, listScenarios } from "../../api/client"
import { listen } from "../../api/events"
import type { ErrorEntry, RuleState, Scenario } from "../../api/types"

export const catalogue = signal<Scenario[]>([])
export const errors = signal<ErrorEntry[]>([])
export const rules = signal<RuleState[]>([])
/** Ids of the rules that are scenarios switched on here. */
export const active = signal<ReadonlySet<string>>(new Set())
/** What is wrong with scenario files. */
export const fileErrors = signal<string[]>([])
export const loaded = signal(false)

const DELAY = 200

/** Reads everything about the session, and its rules again whenever they or their counts change. */
export function watchRules(session: string): () => void {
  let waiting: ReturnType<typeof setTimeout> | undefined
  let left = false
  const refresh = async () => {
    const [found, listed] = await Promise.all([listRules(session), listScenarios(session)])
    if (left) return
    rules.value = found.items
    fileErrors.value = found.errors
    active.value = new Set(listed.active.map((each) => each.id))
    catalogue.value = listed.items
    loaded.value = true
  }
  const refreshSoon = () => {
    if (waiting !== undefined) return
    waiting = setTimeout(() => {
      waiting = undefined
      void refresh()
    }, DELAY)
  }
  loaded.value = false
  void refresh()
  void listAllErrors().then((found) => {
    errors.value = found
  })
  const stop = listen({ session: session || "default" }, refreshSoon)
  return () => {
    left = true
    clearTimeout(waiting)
    stop()
  }
}
