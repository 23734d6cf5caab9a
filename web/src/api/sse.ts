/** One event of a stream. */
export interface ServerEvent {
  name: string
  data: string
  id: string
}

/** Reads server-sent events from pieces of text, as the HTML standard says (section 9.2.6). */
export class EventReader {
  #rest = ""
  #name = ""
  #data: string[] = []
  #id = ""

  /** The id of the last event, with which a reader resumes. */
  get lastId(): string {
    return this.#id
  }

  read(text: string): ServerEvent[] {
    const found: ServerEvent[] = []
    // a carriage return at the end may be half of a line end
    const whole = this.#rest + text
    const held = whole.endsWith("\r") ? "\r" : ""
    const lines = whole.slice(0, whole.length - held.length).split(/\r\n|\n|\r/)
    this.#rest = (lines.pop() ?? "") + held
    for (const line of lines) {
      const event = this.#readLine(line)
      if (event) found.push(event)
    }
    return found
  }

  #readLine(line: string): ServerEvent | undefined {
    if (line === "") return this.#end()
    const colon = line.indexOf(":")
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "")
    if (name === "event") this.#name = value
    else if (name === "data") this.#data.push(value)
    else if (name === "id") this.#id = value
    return undefined
  }

  #end(): ServerEvent | undefined {
    const event = { name: this.#name || "message", data: this.#data.join("\n"), id: this.#id }
    const empty = this.#data.length === 0
    this.#name = ""
    this.#data = []
    return empty ? undefined : event
  }
}

/** Returns the events in texts that a server has sent. */
export function readEvents(texts: readonly string[]): ServerEvent[] {
  const reader = new EventReader()
  return [...texts, "\n\n"].flatMap((text) => reader.read(text))
}
