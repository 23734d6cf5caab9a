/** What the address says: the view, and what is looked at in it. */
export interface Route {
  view: string
  /** A session's name; empty for all. */
  session: string
  filter: string
  /** The selected call: `session/number`. */
  call: string
  tab: string
  /** What is selected in a view that lists no calls. */
  item: string
}

const DEFAULTS: Route = { view: "traffic", session: "", filter: "", call: "", tab: "", item: "" }

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2)
  const params = new URLSearchParams(query)
  return {
    view: path || DEFAULTS.view,
    session: params.get("session") ?? "",
    filter: params.get("filter") ?? "",
    call: params.get("call") ?? "",
    tab: params.get("tab") ?? "",
    item: params.get("item") ?? "",
  }
}

export function formatRoute(route: Route): string {
  const { view, ...rest } = route
  const params = new URLSearchParams(Object.entries(rest).filter(([, value]) => value !== ""))
  const query = params.toString()
  return `#/${view}${query ? `?${query}` : ""}`
}
