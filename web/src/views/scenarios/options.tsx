import { signal } from "@preact/signals"
import type { Scenario } from "../../api/types"
import { say, translateScenario } from "../../words"
import { type OptionValues, optionsOf, writeScenario } from "./scenario_text"

/** What has been given to the options of the chosen scenario. */
export const optionValues = signal<OptionValues>({})

export const chosenText = (scenario: Scenario): string => writeScenario(scenario, optionValues.value)

const SLIDERS: Record<string, { max: number; step: number; usual: number }> = {
  ttft: { max: 5, step: 0.05, usual: 0.4 },
  tps: { max: 300, step: 1, usual: 60 },
  jitter: { max: 1, step: 0.05, usual: 0 },
  tail: { max: 2, step: 0.05, usual: 0 },
}

function setOption(name: string, value: string): void {
  optionValues.value = { ...optionValues.value, [name]: value }
}

/** The options of a scenario, with what each is for; those of a pace are sliders. */
export function Options({ scenario }: { scenario: Scenario }) {
  return (
    <div class="options">
      {optionsOf(scenario).map((option) =>
        scenario.kind === "pace" && SLIDERS[option.name] ? (
          <Slider key={option.name} option={option} />
        ) : (
          <OptionField key={option.name} option={option} />
        ),
      )}
    </div>
  )
}

type Option = Scenario["options"][number]

function OptionField({ option }: { option: Option }) {
  const { name, default: usual } = option
  const choices = option.choices ?? (option.type === "boolean" ? ["false", "true"] : undefined)
  const value = optionValues.value[name] ?? ""
  return (
    <div class="option">
      <code>{name}</code>
      {choices ? (
        <select
          aria-label={name}
          value={value || String(usual ?? "")}
          onChange={(event) => setOption(name, event.currentTarget.value)}
        >
          {usual === null && <option value="">{say("scenarios.unset")}</option>}
          {choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      ) : (
        <input
          aria-label={name}
          value={value}
          placeholder={usual === null ? say("scenarios.unset") : String(usual)}
          inputMode={option.type === "string" ? "text" : "decimal"}
          spellcheck={false}
          onInput={(event) => setOption(name, event.currentTarget.value)}
        />
      )}
      <span class="note">{translateScenario(option.description)}</span>
    </div>
  )
}

function Slider({ option: { name, description } }: { option: Option }) {
  const { max, step, usual } = SLIDERS[name] ?? { max: 1, step: 0.1, usual: 0 }
  const value = optionValues.value[name] ?? ""
  return (
    <div class="option">
      <code>{name}</code>
      <span class="slider">
        <input
          type="range"
          aria-label={name}
          aria-valuetext={value || say("scenarios.unset")}
          min={name === "tps" ? step : 0}
          max={max}
          step={step}
          value={value || usual}
          onInput={(event) => setOption(name, event.currentTarget.value)}
        />
        <output>{value || say("scenarios.unset")}</output>
      </span>
      <span class="note">{translateScenario(description)}</span>
    </div>
  )
}
