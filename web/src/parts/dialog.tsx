import type { ComponentChildren } from "preact"
import { useEffect, useId, useRef } from "preact/hooks"

interface Props {
  title: string
  close?: () => void
  children: ComponentChildren
}

/** A modal dialog of the browser: it holds the focus, and Escape closes it. */
export function Dialog({ title, close, children }: Props) {
  const element = useRef<HTMLDialogElement>(null)
  const label = useId()
  useEffect(() => {
    element.current?.showModal()
  }, [])
  return (
    <dialog
      ref={element}
      aria-labelledby={label}
      onCancel={(event) => {
        event.preventDefault()
        close?.()
      }}
    >
      <h2 id={label}>{title}</h2>
      {children}
    </dialog>
  )
}
