import { useSignalEffect } from "@preact/signals"
import { render } from "preact"
import { Frame } from "./frame"
import { route } from "./route"
import "./style.css"
import { TokenDialog } from "./token"
import { VIEWS } from "./views"
import { language } from "./words"

function Page() {
  useSignalEffect(() => {
    document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en"
  })
  const { view: View } = VIEWS.find(({ id }) => id === route.value.view) ?? VIEWS[0]
  return (
    <>
      <Frame />
      <View />
      <TokenDialog />
    </>
  )
}

const root = document.getElementById("root")
if (root) render(<Page />, root)
