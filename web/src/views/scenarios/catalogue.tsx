import type { RefObject } from "preact"
import { useEffect, useRef } from "preact/hooks"
import type { Scenario } from "../../api/types"
import { go, route } from "../../route"
import { say, translateScenario } from "../../words"
import { matchScenario } from "./scenario_text"
import { catalogue, loaded } from "./state"

const KINDS = ["error", "fault", "awkward", "pace", "reply"] as const
const FIRST = "cut"
/** Pixels above the chosen line, enough for its heading. */
const ROOM = 36

function shownScenarios(): Scenario[] {
  const found = catalogue.value.filter((each) => matchScenario(each, route.value.filter, translateScenario(each.title)))
  return KINDS.flatMap((kind) => found.filter((each) => each.kind === kind))
}

/** Returns the scenario that the address names, or one to begin with. */
export function chosenScenario(): Scenario | undefined {
  const wanted = route.value.item || FIRST
  return catalogue.value.find((each) => each.name === wanted) ?? catalogue.value[0]
}

/** Chooses the scenario that stands so many lines below the chosen one. */
export function choose(by: number): void {
  const shown = shownScenarios()
  const at = shown.findIndex((each) => each.name === chosenScenario()?.name)
  const next = shown[Math.min(Math.max(at + by, 0), shown.length - 1)]
  if (!next) return
  go({ item: next.name })
  document.getElementById(`scenario-${next.name}`)?.scrollIntoView({ block: "nearest" })
}

/** Every error, fault, awkward answer, pace and reply, one line each. */
export function Catalogue({ search }: { search: RefObject<HTMLInputElement | null> }) {
  const shown = shownScenarios()
  const chosen = chosenScenario()?.name
  const list = useRef<HTMLDivElement>(null)
  const ready = loaded.value && catalogue.value.length > 0
  useEffect(() => {
    const button = list.current?.querySelector<HTMLElement>("[aria-pressed=true]")
    // the list alone: the view has just been opened at its top
    if (ready && button && list.current) list.current.scrollTop = button.offsetTop - list.current.offsetTop - ROOM
  }, [ready])
  return (
    <section class="catalogue" aria-label={say("scenarios.catalogue")}>
      <input
        ref={search}
        type="search"
        aria-label={say("scenarios.search")}
        placeholder={say("scenarios.search")}
        value={route.value.filter}
        onInput={(event) => go({ filter: event.currentTarget.value })}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" || event.key === "ArrowUp") choose(event.key === "ArrowDown" ? 1 : -1)
          if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur()
        }}
      />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard */}
      <div ref={list} class="names" tabIndex={0}>
        {KINDS.map((kind) => (
          <Group key={kind} kind={kind} items={shown.filter((each) => each.kind === kind)} chosen={chosen} />
        ))}
        {loaded.value && shown.length === 0 && <p class="note">{say("scenarios.none")}</p>}
      </div>
    </section>
  )
}

interface GroupProps {
  kind: (typeof KINDS)[number]
  items: Scenario[]
  chosen: string | undefined
}

function Group({ kind, items, chosen }: GroupProps) {
  if (items.length === 0) return null
  return (
    <>
      <h2>{say(`scenarios.kind_${kind}`)}</h2>
      <ul>
        {items.map(({ name, title }) => (
          <li key={name}>
            <button
              id={`scenario-${name}`}
              type="button"
              aria-pressed={name === chosen}
              onClick={() => go({ item: name })}
            >
              <span class="scenario-name">{name}</span> <span class="note">{translateScenario(title)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  )
}
