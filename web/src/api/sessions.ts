import { request } from "./client"
import type { components } from "./control"

type Schemas = components["schemas"]
export type SessionCreate = Schemas["SessionCreate"]

async function post(path: string, body?: object): Promise<void> {
  await request(path, body ? { method: "POST", body: JSON.stringify(body) } : { method: "POST" })
}

const pathOf = (name: string): string => `sessions/${encodeURIComponent(name)}`

export const createSession = (session: SessionCreate): Promise<void> => post("sessions", session)
export const resetSession = (name: string): Promise<void> => post(`${pathOf(name)}/reset`)
export const forkSession = (name: string, fork: string): Promise<void> => post(`${pathOf(name)}/fork`, { name: fork })
export const restoreSession = (name: string, label: string): Promise<void> => post(`${pathOf(name)}/restore`, { label })

/** Keeps a session's state; returns the label of the snapshot, which the server makes up if none is given. */
export async function snapshotSession(name: string, label: string): Promise<string> {
  const body = JSON.stringify(label ? { label } : {})
  const answer = await request(`${pathOf(name)}/snapshot`, { method: "POST", body })
  return ((await answer.json()) as Schemas["Snapshot"]).label
}

export async function deleteSession(name: string): Promise<void> {
  await request(pathOf(name), { method: "DELETE" })
}

/** Stops, starts, sets or moves a session's clock. */
export async function changeClock(session: string, change: Schemas["ClockChange"]): Promise<void> {
  await request("clock", { method: "POST", body: JSON.stringify(change), session })
}
