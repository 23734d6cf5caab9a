import { exportSession } from "../../api/client"
import { OutcomeLine, useAction } from "../../parts/action"
import { saveFile } from "../../parts/download"
import { say } from "../../words"

const FORMATS = [
  ["cassette", "yaml"],
  ["har", "har"],
] as const

/** Saves the calls of a session as a file. */
export function SaveMenu({ session }: { session: string }) {
  const { outcome, run } = useAction()
  return (
    <>
      <select
        class="action"
        aria-label={say("save.label", { session })}
        value=""
        onChange={(event) => {
          const format = FORMATS.find(([name]) => name === event.currentTarget.value)
          event.currentTarget.value = ""
          if (!format) return
          void run(async () => {
            saveFile(`${session}.${format[1]}`, await exportSession(session, format[0]))
            return undefined
          })
        }}
      >
        <option value="">{say("save.title")}</option>
        {FORMATS.map(([name]) => (
          <option key={name} value={name}>
            {say(`save.${name}`)}
          </option>
        ))}
      </select>
      <OutcomeLine outcome={outcome} />
    </>
  )
}
