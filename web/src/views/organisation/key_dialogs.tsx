import { useState } from "preact/hooks"
import type { Console, CreatedKey, Key } from "../../api/console"
import { OutcomeLine, useAction } from "../../parts/action"
import { CopyButton } from "../../parts/copy"
import { Dialog } from "../../parts/dialog"
import { say } from "../../words"
import { describeChange, describeKey, draftOf, EMPTY_DRAFT, type KeyDraft } from "./key_draft"
import { nameTeam, type Organisation } from "./read"
import { Instant } from "./summary"

const LIMITS = [
  ["rpm", "organisation.rpm"],
  ["tpm", "organisation.tpm"],
  ["concurrency", "organisation.concurrency"],
] as const

interface FormProps {
  /** The key that is changed; without one a key is made. */
  of?: Key
  content: Organisation
  console: Console
  /** Takes the key that was made, with its secret. */
  done: (created?: CreatedKey) => void
  close: () => void
}

/** Asks what a key is called and what it may do, and makes or changes it. */
export function KeyForm({ of: key, content, console, done, close }: FormProps) {
  const [draft, setDraft] = useState(() => (key ? draftOf(key) : EMPTY_DRAFT))
  const { outcome, run } = useAction()
  const write = (name: keyof KeyDraft) => (event: { currentTarget: { value: string } }) =>
    setDraft({ ...draft, [name]: event.currentTarget.value })
  const save = () =>
    void run(async () => {
      if (key) {
        await console.updateKey(key.id, describeChange(draft))
        done()
      } else done(await console.createKey(describeKey(draft)))
      return undefined
    })
  return (
    <Dialog title={key ? say("keys.change", { name: key.name }) : say("keys.new")} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          save()
        }}
      >
        <p class="note">{say("keys.text")}</p>
        <label>
          {say("organisation.name")}
          <input required maxLength={128} autocomplete="off" value={draft.name} onInput={write("name")} />
        </label>
        {LIMITS.map(([name, word]) => (
          <label key={name}>
            {say(word)}
            <input type="number" min="1" value={draft[name]} onInput={write(name)} />
          </label>
        ))}
        <label>
          {say("organisation.allowed_models")}
          <input placeholder="gpt-5.4, claude-sonnet-4-6" value={draft.models} onInput={write("models")} />
        </label>
        <label>
          {say("organisation.addresses")}
          <input placeholder="10.0.0.0/8, 192.0.2.7" value={draft.addresses} onInput={write("addresses")} />
        </label>
        {!key && <OnlyNew draft={draft} content={content} write={write} setDraft={setDraft} />}
        <OutcomeLine outcome={outcome} />
        <div class="actions">
          <button type="button" class="quiet" onClick={close}>
            {say("rule.cancel")}
          </button>
          <button type="submit" class="primary">
            {say(key ? "keys.save" : "keys.create")}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

interface OnlyNewProps {
  draft: KeyDraft
  content: Organisation
  write: (name: keyof KeyDraft) => (event: { currentTarget: { value: string } }) => void
  setDraft: (draft: KeyDraft) => void
}

/** What the console takes of a new key only. */
function OnlyNew({ draft, content, write, setDraft }: OnlyNewProps) {
  const teams = [...new Set([...content.keys, ...content.byTeam].flatMap(({ team_id: id }) => (id ? [id] : [])))]
  return (
    <>
      <label>
        {say("organisation.team")}
        <select value={draft.team} onChange={write("team")}>
          <option value="">{say("organisation.no_team")}</option>
          {teams.map((id) => (
            <option key={id} value={id}>
              {nameTeam(id, content.business)}
            </option>
          ))}
        </select>
      </label>
      <label>
        {say("organisation.expires")}
        <input autocomplete="off" placeholder="2027-01-01T00:00:00Z" value={draft.expires} onInput={write("expires")} />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={draft.sandbox}
          onChange={(event) => setDraft({ ...draft, sandbox: event.currentTarget.checked })}
        />{" "}
        {say("keys.sandbox")}
      </label>
    </>
  )
}

/** Asks whether a key shall be deleted, and deletes it. */
export function DeleteKey({ of: key, console, done, close }: Omit<FormProps, "content"> & { of: Key }) {
  const { outcome, run } = useAction()
  const remove = () =>
    void run(async () => {
      await console.deleteKey(key.id)
      done()
      return undefined
    })
  return (
    <Dialog title={say("keys.delete", { name: key.name })} close={close}>
      <p>{say("keys.delete_text")}</p>
      <OutcomeLine outcome={outcome} />
      <div class="actions">
        <button type="button" class="quiet" onClick={close}>
          {say("rule.cancel")}
        </button>
        <button type="button" class="primary" onClick={remove}>
          {say("scenarios.delete")}
        </button>
      </div>
    </Dialog>
  )
}

interface SecretProps {
  of: { key: string; key_prefix: string; rotate_grace_until?: string | null }
  close: () => void
}

/** The secret of a key that was made or rotated, which the gateway shows this once. */
export function NewSecret({ of, close }: SecretProps) {
  const { rotate_grace_until: grace } = of
  return (
    <Dialog title={say("organisation.rotated")} close={close}>
      <p>{say(grace ? "organisation.rotated_text" : "keys.created_text")}</p>
      <p>
        <code class="said">{of.key}</code> <CopyButton text={of.key} label={`${say("copy.copy")}: ${of.key_prefix}`} />
      </p>
      {grace && (
        <p class="note">
          {say("organisation.grace")}: <Instant at={grace} />
        </p>
      )}
      <div class="actions">
        <button type="button" class="primary" onClick={close}>
          {say("detail.close")}
        </button>
      </div>
    </Dialog>
  )
}
