import type { Json } from "./api/types"

const PLAIN = /^[A-Za-z_][\w ./-]*[\w./]$|^[A-Za-z_]$/
const WORDS = /^(true|false|yes|no|on|off|null|y|n)$/i

/** Writes a value as YAML, in blocks. Strings that YAML could read as anything else are quoted. */
export function toYaml(value: Json, depth = 0): string {
  const pad = "  ".repeat(depth)
  if (Array.isArray(value) && value.length > 0) {
    return value.map((each) => `${pad}- ${writeItem(each, depth)}`).join("")
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0) {
    return Object.entries(value)
      .map(
        ([name, each]) =>
          `${pad}${quote(name)}:${isBlock(each) ? `\n${toYaml(each, depth + 1)}` : ` ${writeScalar(each)}\n`}`,
      )
      .join("")
  }
  return `${pad}${writeScalar(value)}\n`
}

function isBlock(value: Json): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0
}

function writeItem(value: Json, depth: number): string {
  return isBlock(value) ? toYaml(value, depth + 1).trimStart() : `${writeScalar(value)}\n`
}

function writeScalar(value: Json): string {
  return typeof value === "string" ? quote(value) : JSON.stringify(value)
}

function quote(text: string): string {
  return PLAIN.test(text) && !WORDS.test(text) ? text : JSON.stringify(text)
}
