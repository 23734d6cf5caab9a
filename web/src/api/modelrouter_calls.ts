import { ApiError, OWN_READ, request } from "./client"
import type { components, operations } from "./modelrouter"

type Operation = "ModelRouterQueryObservationCharts"
export type Charts = components["schemas"]["ModelRouterChartsResponse"]["data"]
export type Curve = keyof Charts
export type TimeRange = NonNullable<NonNullable<operations[Operation]["parameters"]["query"]>["timeRange"]>

/** Asks ModelRouter for its curves; the mock signs the request as an access key of the organisation. */
export async function queryCharts(session: string, organisation: string, timeRange: TimeRange): Promise<Charts> {
  const operation: Operation = "ModelRouterQueryObservationCharts"
  const body = JSON.stringify({ operation, organisation, query: { timeRange } })
  const answer = await request("signed-calls", { method: "POST", body, session, headers: OWN_READ })
  const { status, body: own } = (await answer.json()) as {
    status: number
    body: { data?: Charts; errMessage?: string }
  }
  if (own.data === undefined) throw new ApiError(status, `HTTP ${status}: ${own.errMessage ?? ""}`)
  return own.data
}
