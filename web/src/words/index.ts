import { signal } from "@preact/signals"
import { en, type WordKey, type Words } from "./en"
import { SCENARIOS_ZH } from "./scenarios_zh"
import { zh } from "./zh"

export type Language = "en" | "zh"

const STORED = "aione-mock.language"
const WORDS: Record<Language, Words> = { en, zh }

export const language = signal<Language>(chooseLanguage(localStorage.getItem(STORED) ?? navigator.language))

export function chooseLanguage(wanted: string): Language {
  return wanted.toLowerCase().startsWith("zh") ? "zh" : "en"
}

export function setLanguage(wanted: Language): void {
  localStorage.setItem(STORED, wanted)
  language.value = wanted
}

/** Returns the words of a key in the chosen language, with values filled in. */
export function say(key: WordKey, values: Record<string, string | number> = {}): string {
  return WORDS[language.value][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
}

/** Returns what the server says of a scenario or an option, in the chosen language. */
export function translateScenario(text: string): string {
  return language.value === "zh" ? (SCENARIOS_ZH[text] ?? text) : text
}
