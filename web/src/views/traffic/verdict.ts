import type { Exchange } from "../../api/types"

/** What the contract says of a message: nothing where it has no operation, or where the message was not checked. */
export type Verdict = "unknown" | "unchecked" | "keeps" | "violates"

export function judgeRequest({ contract, request }: Exchange): Verdict {
  if (!contract) return "unknown"
  if (request.violations.length > 0) return "violates"
  return contract.request_checked ? "keeps" : "unchecked"
}

/** Judges an answer, which has to be there whole: one that is still being sent is not checked. */
export function judgeAnswer({ contract, response, open }: Exchange): Verdict {
  if (!contract) return "unknown"
  if (open) return "unchecked"
  if (response.violations.length > 0) return "violates"
  return contract.answer_checked ? "keeps" : "unchecked"
}

/** Judges the order of a stream's events; `unknown` for an answer whose order is not declared. */
export function judgeOrder(exchange: Exchange): Verdict {
  if (!exchange.contract?.grammar) return "unknown"
  const answer = judgeAnswer(exchange)
  if (answer === "unchecked") return answer
  return exchange.response.violations.some(({ part }) => part === "stream") ? "violates" : "keeps"
}
