import { objectsOf, type RuleState, type Scenario, type When } from "../../api/types"

/** Values that a person has given to options, by name; empty for the default. */
export type OptionValues = Record<string, string>

const PLAIN = /^[^",;\s][^",;]*$/
/** Options that the "when" of the view asks for instead. */
const COUNT = "times"

/** Writes a scenario as in the header X-Mock-Scenario. */
export function writeScenario(scenario: Scenario, values: OptionValues): string {
  const given = scenario.options.flatMap(({ name, default: usual }) => {
    const value = (values[name] ?? "").trim()
    if (name === COUNT || value === "" || value === String(usual)) return []
    return [`${name}=${PLAIN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`]
  })
  return [scenario.name, ...given].join("; ")
}

export function optionsOf(scenario: Scenario): Scenario["options"] {
  return scenario.options.filter(({ name }) => name !== COUNT)
}

/** Whether a scenario fits what somebody looks for: each word stands in its name, kind, title or translated title. */
export function matchScenario(scenario: Scenario, search: string, title = ""): boolean {
  const text = `${scenario.name} ${scenario.title} ${title} ${scenario.kind}`.toLowerCase()
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}

/** Writes a rule's conditions in a line. */
export function describeWhen(when: When | undefined): string {
  return describeMembers(when ?? {})
}

/** Writes what a rule does in a line. */
export function describeThen({ rule }: RuleState): string {
  const { times: _, faults, ...then } = rule.then as Record<string, unknown>
  const damages = objectsOf(faults).map(({ name, ...options }) =>
    [name, ...Object.entries(options).map(([option, value]) => `${option}=${value}`)].join("; "),
  )
  return [...damages, ...(Object.keys(then).length > 0 ? [describeMembers(then)] : [])].join(" · ")
}

function describeMembers(members: object): string {
  return Object.entries(members)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" · ")
}

/** Whether a rule stands in a scenario file, which says where. */
export function isOfFile({ source }: RuleState): boolean {
  return source.includes(":")
}
