const CHINA = 8 * 3600 * 1000

/** Returns when the next month begins in Asia/Shanghai, where the gateway's days and months begin. */
export function startOfNextMonth(instant: string): string {
  const there = new Date(Date.parse(instant) + CHINA)
  return new Date(Date.UTC(there.getUTCFullYear(), there.getUTCMonth() + 1) - CHINA).toISOString()
}
