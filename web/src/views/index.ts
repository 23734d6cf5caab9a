import type { ComponentType } from "preact"
import { Organisation } from "./organisation/organisation"
import { Playground } from "./playground/playground"
import { Reference } from "./reference/reference"
import { Scenarios } from "./scenarios/scenarios"
import { Sessions } from "./sessions/sessions"
import { Traffic } from "./traffic/traffic"

/** Every view, in the order of the navigation: its name in the address, and the key that follows `g`. */
export const VIEWS = [
  { id: "traffic", key: "t", view: Traffic },
  { id: "scenarios", key: "c", view: Scenarios },
  { id: "playground", key: "p", view: Playground },
  { id: "organisation", key: "o", view: Organisation },
  { id: "sessions", key: "s", view: Sessions },
  { id: "reference", key: "r", view: Reference },
] as const satisfies readonly { id: string; key: string; view: ComponentType }[]
