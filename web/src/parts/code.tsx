import type { ComponentChildren } from "preact"
import { showHidden } from "../format"

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g
const MOST_COLOURED = 200_000

/** JSON in colours, any other text as it is. Nothing of it is ever read as HTML. */
export function Code({ text, json = false, label }: { text: string; json?: boolean; label?: string }) {
  const shown = showHidden(text)
  return (
    // a region that scrolls has to be reachable by keyboard
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
    <section class="code" tabIndex={0} aria-label={label ?? "code"}>
      <pre>{json && shown.length <= MOST_COLOURED ? colour(shown) : shown}</pre>
    </section>
  )
}

function colour(text: string): ComponentChildren[] {
  const parts: ComponentChildren[] = []
  let end = 0
  for (const found of text.matchAll(TOKEN)) {
    const [whole, string, colon, word] = found
    if (found.index > end) parts.push(text.slice(end, found.index))
    end = found.index + whole.length
    if (string && colon) parts.push(<span class="c-name">{string}</span>, colon)
    else parts.push(<span class={string ? "c-text" : word ? "c-word" : "c-number"}>{whole}</span>)
  }
  parts.push(text.slice(end))
  return parts
}
