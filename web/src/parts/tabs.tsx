import type { ComponentChildren } from "preact"

interface Props<T extends string> {
  label: string
  tabs: readonly { id: T; name: string }[]
  chosen: T
  choose: (id: T) => void
  children?: ComponentChildren
}

/** A row of tabs; arrow keys move between them. */
export function Tabs<T extends string>({ label, tabs, chosen, choose }: Props<T>) {
  const move = (event: KeyboardEvent, by: number) => {
    const index = tabs.findIndex((tab) => tab.id === chosen)
    const next = tabs[(index + by + tabs.length) % tabs.length]
    if (!next) return
    event.preventDefault()
    choose(next.id)
    document.getElementById(`tab-${next.id}`)?.focus()
  }
  return (
    <div class="tabs" role="tablist" aria-label={label}>
      {tabs.map((tab) => (
        <button
          key={tab.id}
          id={`tab-${tab.id}`}
          type="button"
          role="tab"
          aria-selected={tab.id === chosen}
          aria-controls="tab-panel"
          tabIndex={tab.id === chosen ? 0 : -1}
          onClick={() => choose(tab.id)}
          onKeyDown={(event) => {
            if (event.key === "ArrowRight") move(event, 1)
            if (event.key === "ArrowLeft") move(event, -1)
          }}
        >
          {tab.name}
        </button>
      ))}
    </div>
  )
}
