import type { ComponentChildren, RefObject } from "preact"
import { useLayoutEffect, useState } from "preact/hooks"

const AROUND = 8

interface Props {
  element: RefObject<HTMLDivElement | null>
  count: number
  rowHeight: number
  renderRow: (index: number) => ComponentChildren
  onScroll?: (top: number) => void
  /** Attributes of the element that scrolls. */
  attributes: Record<string, string | number | undefined>
}

/** A list of any length, of which only the rows in sight are in the document. */
export function VirtualList({ element, count, rowHeight, renderRow, onScroll, attributes }: Props) {
  const [top, setTop] = useState(0)
  const [height, setHeight] = useState(600)
  useLayoutEffect(() => {
    const list = element.current
    if (!list) return undefined
    const observer = new ResizeObserver(() => setHeight(list.clientHeight))
    observer.observe(list)
    return () => observer.disconnect()
  }, [element])
  const first = Math.max(0, Math.floor(top / rowHeight) - AROUND)
  const last = Math.min(count, Math.ceil((top + height) / rowHeight) + AROUND)
  const rows: ComponentChildren[] = []
  for (let index = first; index < last; index++) rows.push(renderRow(index))
  return (
    <div
      ref={element}
      {...attributes}
      onScroll={(event) => {
        const at = event.currentTarget.scrollTop
        setTop(at)
        onScroll?.(at)
      }}
    >
      <div class="rows" role="presentation" style={{ height: `${count * rowHeight}px` }}>
        {rows}
      </div>
    </div>
  )
}

/** Scrolls as little as it takes to see a row. */
export function revealRow(list: HTMLElement | null, index: number, rowHeight: number): void {
  if (!list || index < 0) return
  const top = index * rowHeight
  if (top < list.scrollTop) list.scrollTop = top
  else if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight
}
