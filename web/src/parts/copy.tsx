import { useState } from "preact/hooks"
import { say } from "../words"

export async function copyText(text: string): Promise<void> {
  await navigator.clipboard.writeText(text)
}

/** A button that copies a text. */
export function CopyButton({ text, label }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await copyText(text)
    setCopied(true)
    setTimeout(() => setCopied(false), 1500)
  }
  return (
    <button type="button" class="quiet" onClick={() => void copy()} aria-label={label ?? say("copy.copy")}>
      {copied ? say("copy.copied") : say("copy.copy")}
    </button>
  )
}
