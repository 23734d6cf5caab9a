import { useState } from "preact/hooks"

export interface Outcome {
  text: string
  failed: boolean
}

/** Runs actions and keeps what came of the last one: the words that it returns, or why it failed. */
export function useAction() {
  const [outcome, setOutcome] = useState<Outcome>()
  const run = async (action: () => Promise<string | undefined>): Promise<boolean> => {
    try {
      const text = await action()
      setOutcome(text ? { text, failed: false } : undefined)
      return true
    } catch (error) {
      setOutcome({ text: error instanceof Error ? error.message : String(error), failed: true })
      return false
    }
  }
  return { outcome, run, clear: () => setOutcome(undefined) }
}

/** Says what came of an action, where it was started. */
export function OutcomeLine({ outcome }: { outcome: Outcome | undefined }) {
  if (!outcome) return null
  return (
    <p class={outcome.failed ? "message failed" : "message"} role={outcome.failed ? "alert" : "status"}>
      {outcome.text}
    </p>
  )
}
