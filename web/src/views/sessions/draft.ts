import type { SessionCreate } from "../../api/sessions"

/** What was typed about a new session; an empty text leaves it to the server. */
export interface SessionDraft {
  name: string
  seed: string
  now: string
  frozen: string
  pace: string
}

export function describeSession(draft: SessionDraft): SessionCreate {
  return {
    name: draft.name.trim(),
    ...(draft.seed && { seed: draft.seed }),
    ...(draft.now && { now: draft.now.trim() }),
    ...(draft.frozen && { frozen: draft.frozen === "yes" }),
    ...(draft.pace === "instant" || draft.pace === "realistic" ? { pace: { profile: draft.pace } } : {}),
  }
}
