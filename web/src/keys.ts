type Bindings = Record<string, () => void>

const GO = "g"

/** Calls what is bound to a key, unless somebody types; `g t` is `g` followed by `t`. Returns what unbinds. */
export function onKeys(bindings: Bindings): () => void {
  let before = ""
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
    if (event.key === "Enter" && isPressable(event.target)) return
    const key = before === GO ? `${GO} ${event.key}` : event.key
    before = event.key
    const action = bindings[key]
    if (!action) return
    event.preventDefault()
    action()
  }
  document.addEventListener("keydown", press)
  return () => document.removeEventListener("keydown", press)
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (target.closest("dialog")) return true
  return ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)
}

/** Returns whether Enter does something with an element. */
function isPressable(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("a, button, summary") !== null
}
