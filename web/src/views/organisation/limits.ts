import { useEffect, useState } from "preact/hooks"
import { type KeyLimits, listLimits } from "../../api/console"
import { listen } from "../../api/events"
import { DEFAULT_SESSION } from "../../sessions"

const DELAY = 300
const SLIDE = 2000

/** Follows what keys have used of their limits, by the id of the key; those that are missing have used nothing. */
export function useLimits(session: string): ReadonlyMap<string, KeyLimits> {
  const [limits, setLimits] = useState<ReadonlyMap<string, KeyLimits>>(new Map())
  useEffect(() => {
    let left = false
    let waiting: ReturnType<typeof setTimeout> | undefined
    const readIn = (delay: number) => {
      clearTimeout(waiting)
      waiting = setTimeout(() => void read(), delay)
    }
    const read = async () => {
      const found = await listLimits(session).catch(() => [])
      if (left) return
      setLimits(new Map(found.map((each) => [each.key, each])))
      // what was used a minute ago is free again, without an event
      if (found.some((each) => each.requests_per_minute.used + each.concurrent_calls.used > 0)) readIn(SLIDE)
    }
    const stop = listen(
      { session: session || DEFAULT_SESSION },
      () => readIn(DELAY),
      () => readIn(0),
    )
    return () => {
      left = true
      clearTimeout(waiting)
      stop()
    }
  }, [session])
  return limits
}
