import type { ComponentChildren } from "preact"
import { barLength } from "./read"

export interface Column<T> {
  name: string
  number?: boolean
  cell: (row: T) => ComponentChildren
}

interface TableProps<T> {
  title: string
  /** Whether the title stands elsewhere already. */
  untitled?: boolean
  columns: readonly Column<T>[]
  rows: readonly T[]
  keyOf: (row: T) => string
  /** What to do where there is no row. */
  empty: string
  note?: string
  children?: ComponentChildren
}

/** A table with a title; the first column names its rows. */
export function Table<T>({ title, untitled, columns, rows, keyOf, empty, note, children }: TableProps<T>) {
  return (
    <div class="block">
      {!untitled && <h2>{title}</h2>}
      {note && <p class="note">{note}</p>}
      {rows.length === 0 ? (
        <p class="note">{empty}</p>
      ) : (
        // a region that scrolls has to be reachable by keyboard
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
        <section class="scroll" tabIndex={0} aria-label={title}>
          <table class="rows-table">
            <thead>
              <tr>
                {columns.map(({ name, number }) => (
                  <th key={name} scope="col" class={number ? "number" : undefined}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={keyOf(row)}>
                  {columns.map(({ name, number, cell }, index) =>
                    index === 0 ? (
                      <th key={name} scope="row">
                        {cell(row)}
                      </th>
                    ) : (
                      <td key={name} class={number ? "number" : undefined}>
                        {cell(row)}
                      </td>
                    ),
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      {children}
    </div>
  )
}

/** A figure as part of the largest one of its column, beside the figure itself. */
export function Bar({ value, all }: { value: string | number; all: readonly (string | number)[] }) {
  return (
    <span class="bar-cell" aria-hidden="true">
      <span style={{ width: `${barLength(value, all)}%` }} />
    </span>
  )
}
