import awkward from "../../../../docs/reference/awkward-answers.md?raw"
import faults from "../../../../docs/reference/client-faults.md?raw"

/** What an official client makes of a scenario. */
export interface ClientOutcome {
  /** The kind of answer, as the page's heading names it. */
  answers: string
  scenario: string
  outcomes: { client: string; outcome: string }[]
}

/** Reads the tables of docs/reference/client-faults.md and docs/reference/awkward-answers.md, which tests measure with the clients. */
export function readClientTable(markdown: string): ClientOutcome[] {
  const found: ClientOutcome[] = []
  let answers = ""
  let clients: string[] = []
  for (const line of markdown.split("\n")) {
    if (line.startsWith("## ")) answers = line.slice(3)
    if (!line.startsWith("| ")) continue
    const [first = "", ...cells] = line.slice(2, -1).split(" | ").map(stripMarks)
    if (first === "scenario") clients = cells
    else if (clients.length > 0) {
      found.push({
        answers,
        scenario: first,
        outcomes: cells.map((outcome, at) => ({ client: clients[at] ?? "", outcome })),
      })
    }
  }
  return found
}

const stripMarks = (cell: string): string => cell.replace(/[`*]/g, "").trim()

const TABLE = [...readClientTable(faults), ...readClientTable(awkward)]

export function findOutcomes(name: string): ClientOutcome[] {
  return TABLE.filter((row) => row.scenario.split(";")[0] === name)
}
