import { signal } from "@preact/signals"
import { formatRoute, parseRoute, type Route } from "./address"

export const route = signal(readRoute())

function readRoute(): Route {
  const found = parseRoute(location.hash)
  // the page of a session is about it
  const own = /\/_session\/([^/]+)\/_mock\/ui\//.exec(location.pathname)?.[1]
  return own && !found.session ? { ...found, session: own } : found
}

addEventListener("hashchange", () => {
  route.value = readRoute()
})

/** Changes parts of the address; a new view is a step in the history, anything else is not. */
export function go(change: Partial<Route>): void {
  const next = { ...route.value, ...change }
  const url = formatRoute(next)
  if (next.view !== route.value.view) history.pushState(null, "", url)
  else history.replaceState(null, "", url)
  route.value = next
}
