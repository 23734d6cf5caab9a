import { isObject, type JsonObject, textOf } from "../../api/types"

/** A member that may stand at a place of a scenario file. */
export interface Member {
  name: string
  description: string
  /** What it may hold, in a few words. */
  type: string
}

/** Returns the names that lead to the line of the cursor, by indentation: `rules`, `when`. List items have no name. */
export function findPath(text: string, cursor: number): string[] {
  const lines = text.slice(0, cursor).split("\n")
  const current = lines.at(-1) ?? ""
  const rest = text.slice(cursor).split("\n")[0] ?? ""
  let depth = indentOf(current + rest)
  const path: string[] = []
  for (const line of lines.slice(0, -1).reverse()) {
    const name = /^[\s-]*([\w$]+):\s*(#.*)?$/.exec(line)?.[1]
    if (!name || indentOf(line) >= depth) continue
    depth = indentOf(line)
    path.unshift(name)
  }
  return path
}

/** Returns how far the first name of a line stands in; the dash of a list item counts. */
function indentOf(line: string): number {
  return /^[\s-]*/.exec(line)?.[0].length ?? 0
}

/** Returns what may stand in the object at a path. */
export function listMembers(schema: JsonObject, path: readonly string[]): Member[] {
  let node = resolve(schema, schema)
  for (const name of path) {
    const properties = isObject(node.properties) ? node.properties : {}
    node = resolve(schema, properties[name])
    if (isObject(node.items)) node = resolve(schema, node.items)
  }
  const properties = isObject(node.properties) ? node.properties : {}
  return Object.entries(properties).map(([name, value]) => describe(schema, name, value))
}

function resolve(schema: JsonObject, node: unknown): JsonObject {
  if (!isObject(node)) return {}
  const name = textOf(node.$ref).split("/").at(-1) ?? ""
  const definitions = isObject(schema.$defs) ? schema.$defs : {}
  const target = definitions[name]
  return isObject(target) ? { ...target, ...node } : node
}

function describe(schema: JsonObject, name: string, value: unknown): Member {
  const node = resolve(schema, value)
  const types = Array.isArray(node.type) ? node.type.join(" | ") : textOf(node.type)
  return {
    name,
    description: textOf(node.description),
    type: Array.isArray(node.enum) ? node.enum.join(" | ") : types,
  }
}
