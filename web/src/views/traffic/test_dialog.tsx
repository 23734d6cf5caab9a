import type { Exchange } from "../../api/types"
import { Code } from "../../parts/code"
import { CopyButton } from "../../parts/copy"
import { Dialog } from "../../parts/dialog"
import { saveFile } from "../../parts/download"
import { say } from "../../words"
import { explainNoTest, writeTest } from "./test_code"

/** A test for pytest that makes the call again and gets the same answer. */
export function TestDialog({ exchange, close }: { exchange: Exchange; close: () => void }) {
  const reason = explainNoTest(exchange)
  const code = reason ? "" : writeTest(exchange)
  return (
    <Dialog title={say("test.title")} close={close}>
      {reason ? (
        <p class="note">{say(`test.none_${reason}`)}</p>
      ) : (
        <>
          <p class="note">{say("test.text")}</p>
          <CopyButton text={code} label={`${say("copy.copy")}: Python`} />
          <Code text={code} label="Python" />
        </>
      )}
      <div class="actions">
        <button type="button" class="quiet" onClick={close}>
          {say("detail.close")}
        </button>
        {!reason && (
          <button
            type="button"
            class="primary"
            onClick={() => saveFile(`test_call_${exchange.number}.py`, code, "text/x-python")}
          >
            {say("test.save")}
          </button>
        )}
      </div>
    </Dialog>
  )
}
