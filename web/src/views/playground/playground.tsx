import { useEffect, useState } from "preact/hooks"
import { gatewayKey, listModels } from "../../api/gateway"
import { onKeys } from "../../keys"
import { route } from "../../route"
import { say } from "../../words"
import { AnswerColumn } from "./answer"
import { EventColumn } from "./events"
import { QuestionForm } from "./question_form"
import { QuestionError } from "./request"
import { ask, models, question, stop } from "./state"

/** A place to ask a model by hand: the question, the answer as a person reads it, and the events as they come. */
export function Playground() {
  const { session } = route.value
  const [refused, setRefused] = useState("")
  const [mistake, setMistake] = useState<QuestionError>()
  const key = gatewayKey.value
  useEffect(() => {
    let left = false
    listModels(session).then(
      (found) => {
        if (left) return
        models.value = found
        setRefused("")
      },
      (error: unknown) => left || setRefused(String(error instanceof Error ? error.message : error)),
    )
    return () => {
      left = true
    }
  }, [session, key])
  const send = (streams: readonly boolean[]) => {
    setMistake(undefined)
    ask(session, streams).catch((error: unknown) => {
      if (!(error instanceof QuestionError)) throw error
      setMistake(error)
    })
  }
  useEffect(() => onKeys({ "/": () => document.getElementById("question")?.focus(), Escape: stop }), [])
  return (
    <main class="playground">
      <h1 class="hidden">{say("view.playground")}</h1>
      <QuestionForm
        refused={refused}
        mistake={mistake}
        send={() => send([question.value.stream])}
        compare={() => send([true, false])}
      />
      <AnswerColumn session={session} />
      <EventColumn />
    </main>
  )
}
