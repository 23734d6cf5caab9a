import { useEffect, useState } from "preact/hooks"
import { type Credential, listCredentials } from "../../api/console"
import { gatewayKey } from "../../api/gateway"
import type { Exchange } from "../../api/types"
import { OutcomeLine, useAction } from "../../parts/action"
import { Dialog } from "../../parts/dialog"
import { go } from "../../route"
import { say } from "../../words"
import { awaitCall, explainNoReplay, findCredential, replayCall } from "./replay"

/** Sends a call again, with a key that is known or written here; the new call is selected then. */
export function ReplayDialog({ exchange, session, close }: { exchange: Exchange; session: string; close: () => void }) {
  const known = useKnown()
  const [written, setWritten] = useState<string>()
  const { outcome, run } = useAction()
  const reason = explainNoReplay(exchange)
  const key = written ?? findCredential(exchange, known)?.secret ?? gatewayKey.value
  const send = () =>
    run(async () => {
      const id = await replayCall(exchange, session, key).catch(() => "")
      const call = id ? await awaitCall(id) : undefined
      if (!call) return say("replay.broken")
      go({ call })
      close()
      return undefined
    })
  return (
    <Dialog title={say("replay.title")} close={close}>
      <form
        class="replay"
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault()
          void send()
        }}
      >
        {reason ? (
          <p class="note">{say(`replay.none_${reason}`)}</p>
        ) : (
          <>
            <p class="note">{say("replay.text", { session })}</p>
            <label>
              {say("play.key")}
              <input list="known-keys" value={key} onInput={(event) => setWritten(event.currentTarget.value)} />
            </label>
            <datalist id="known-keys">
              {known.map((each) => (
                <option key={each.secret} value={each.secret}>
                  {`${each.organisation} · ${each.label}`}
                </option>
              ))}
            </datalist>
          </>
        )}
        <OutcomeLine outcome={outcome} />
        <div class="actions">
          <button type="button" class="quiet" onClick={close}>
            {say("detail.close")}
          </button>
          {!reason && (
            <button type="submit" class="primary">
              {say("replay.send")}
            </button>
          )}
        </div>
      </form>
    </Dialog>
  )
}

/** Reads the keys and console tokens that the mock knows. */
function useKnown(): readonly Credential[] {
  const [known, setKnown] = useState<readonly Credential[]>([])
  useEffect(() => {
    listCredentials().then(
      (found) => setKnown(found.filter((each) => each.kind !== "access_key")),
      () => {},
    )
  }, [])
  return known
}
