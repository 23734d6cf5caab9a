import { useState } from "preact/hooks"
import { giveToken, tokenWanted } from "./api/client"
import { Dialog } from "./parts/dialog"
import { say } from "./words"

/** Asks for the control token, once for a tab. */
export function TokenDialog() {
  const [word, setWord] = useState("")
  const [tried, setTried] = useState(false)
  if (!tokenWanted.value) return null
  return (
    <Dialog title={say("token.title")}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault()
          setTried(true)
          giveToken(word)
        }}
      >
        <p>{say("token.text")}</p>
        <label>
          {say("token.label")}
          <input
            type="password"
            autocomplete="off"
            required
            value={word}
            onInput={(event) => setWord(event.currentTarget.value)}
          />
        </label>
        {tried && (
          <p class="message failed" role="alert">
            {say("token.wrong")}
          </p>
        )}
        <div class="actions">
          <button type="submit" class="primary">
            {say("token.go")}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
