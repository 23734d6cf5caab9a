import type { Key, KeyChange, KeyWanted } from "../../api/console"

/** What was typed about a key; empty for no restriction. */
export interface KeyDraft {
  name: string
  models: string
  addresses: string
  rpm: string
  tpm: string
  concurrency: string
  /** Only of a new key. */
  team: string
  expires: string
  sandbox: boolean
}

export const EMPTY_DRAFT: KeyDraft = {
  name: "",
  models: "",
  addresses: "",
  rpm: "",
  tpm: "",
  concurrency: "",
  team: "",
  expires: "",
  sandbox: false,
}

/** Returns a key as it can be typed. */
export function draftOf(key: Key): KeyDraft {
  return {
    ...EMPTY_DRAFT,
    name: key.name,
    models: key.models_allowed?.join(", ") ?? "",
    addresses: key.allowed_ips?.join(", ") ?? "",
    rpm: String(key.rpm_limit ?? ""),
    tpm: String(key.tpm_limit ?? ""),
    concurrency: String(key.concurrency_limit ?? ""),
  }
}

/** Returns what a key is changed to; a restriction that is empty is lifted. */
export function describeChange(draft: KeyDraft): KeyChange & { name: string } {
  return {
    name: draft.name.trim(),
    models_allowed: splitList(draft.models),
    allowed_ips: splitList(draft.addresses),
    rpm_limit: readLimit(draft.rpm),
    tpm_limit: readLimit(draft.tpm),
    concurrency_limit: readLimit(draft.concurrency),
  }
}

/** Returns a key to be made. */
export function describeKey(draft: KeyDraft): KeyWanted {
  return {
    ...describeChange(draft),
    team_id: draft.team || null,
    expires_at: draft.expires.trim() || null,
    is_sandbox: draft.sandbox,
  }
}

function splitList(text: string): string[] | null {
  const parts = text.split(/[\s,]+/).filter(Boolean)
  return parts.length > 0 ? parts : null
}

function readLimit(text: string): number | null {
  return text.trim() === "" ? null : Number(text)
}
