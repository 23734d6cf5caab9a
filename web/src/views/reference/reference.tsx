import { useEffect, useRef, useState } from "preact/hooks"
import { clientUrl, controlToken } from "../../api/client"
import { listCredentials } from "../../api/console"
import { gatewayKey } from "../../api/gateway"
import type { Json } from "../../api/types"
import { Tabs } from "../../parts/tabs"
import { go, route } from "../../route"
import { language, say } from "../../words"
import { prepareDocument } from "./document"

const DOCUMENTS = ["aione", "modelrouter", "control"] as const
type DocumentName = (typeof DOCUMENTS)[number]

/** The contract as it is served, to read and to try. */
export function Reference() {
  const { item, session } = route.value
  const name = DOCUMENTS.find((each) => each === item) ?? DOCUMENTS[0]
  const url = `${clientUrl(session)}/openapi/${name}`
  return (
    // Swagger UI brings the main landmark
    <section class="view" aria-label={say("view.reference")}>
      <header class="view-head">
        <h1>{say("view.reference")}</h1>
        <p class="note">
          {say("reference.text")} <a href={`${url}.json`}>JSON</a> · <a href={`${url}.yaml`}>YAML</a>
        </p>
      </header>
      <Tabs
        label={say("reference.documents")}
        tabs={DOCUMENTS.map((id) => ({ id, name: say(`reference.${id}`) }))}
        chosen={name}
        choose={(id) => go({ item: id })}
      />
      <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${name}`}>
        <p class="note hint">
          {say("reference.evidence_text")} {name === "modelrouter" && say("reference.signed")}
        </p>
        <Contract key={`${url} ${language.value}`} name={name} url={`${url}.json`} />
      </div>
    </section>
  )
}

/** A document, shown by a component that is loaded when it is needed. */
function Contract({ name, url }: { name: DocumentName; url: string }) {
  const place = useRef<HTMLDivElement>(null)
  const [message, setMessage] = useState(say("reference.loading"))
  const [failed, setFailed] = useState(false)
  useDarkMode()
  useEffect(() => {
    let left = false
    const show = async () => {
      const [{ showReference }, spec, keys] = await Promise.all([import("./swagger"), readDocument(url), listKeys()])
      if (left || !place.current) return
      setMessage("")
      showReference(place.current, spec, keys, name !== "modelrouter")
    }
    show().catch((error: unknown) => {
      setMessage(error instanceof Error ? error.message : String(error))
      setFailed(true)
    })
    return () => {
      left = true
    }
  }, [])
  return (
    <>
      {message && (
        <p class={failed ? "message failed" : "note hint"} role={failed ? "alert" : "status"}>
          {message}
        </p>
      )}
      <div ref={place} />
    </>
  )
}

async function readDocument(url: string): Promise<Json> {
  const answer = await fetch(url)
  if (!answer.ok) throw new Error(`HTTP ${answer.status}: ${url}`)
  return prepareDocument((await answer.json()) as Json, say("reference.evidence"), language.peek() === "zh")
}

/** Returns the keys that operations are tried with, by the names that the contract gives their schemes. */
async function listKeys(): Promise<Record<string, string>> {
  const token = (await listCredentials()).find(({ kind, may_write }) => kind === "token" && may_write)
  return {
    bearerKey: gatewayKey.peek(),
    ...(token ? { consoleToken: token.secret } : {}),
    ...(controlToken() ? { controlToken: controlToken() } : {}),
  }
}

/** Lets the component follow the light or dark setting of the system, which it does by the name of a class. */
function useDarkMode() {
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)")
    const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches)
    follow()
    dark.addEventListener("change", follow)
    return () => {
      dark.removeEventListener("change", follow)
      document.documentElement.classList.remove("dark-mode")
    }
  }, [])
}
