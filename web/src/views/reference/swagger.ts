import "swagger-ui-dist/swagger-ui.css"
import SwaggerUI, { type Props, type System } from "swagger-ui-dist/swagger-ui-es-bundle.js"
import type { Json } from "../../api/types"

/** Shows beside the path of an operation how certain it is. */
function EvidencePlugin({ React }: System) {
  return {
    wrapComponents: {
      OperationSummaryPath:
        (Path: unknown, { specSelectors }: System) =>
        (props: Props) => {
          const { operationProps: operation } = props
          const evidence = specSelectors
            .specJson()
            .getIn(["paths", operation.get("path"), operation.get("method"), "x-evidence"])
          const mark =
            typeof evidence === "string"
              ? React.createElement("span", { className: `evidence ${evidence}` }, evidence)
              : null
          return React.createElement(React.Fragment, null, React.createElement(Path, props), mark)
        },
    },
  }
}

/** Shows a document in an element, with the keys that its operations are tried with by the names of their schemes. */
export function showReference(
  node: HTMLElement,
  spec: Json,
  keys: Readonly<Record<string, string>>,
  canTry: boolean,
): void {
  const shown = SwaggerUI({
    domNode: node,
    spec,
    // the default asks a server on the internet
    validatorUrl: null,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayOperationId: true,
    filter: true,
    ...(canTry ? {} : { supportedSubmitMethods: [] }),
    plugins: [EvidencePlugin],
    onComplete: () => {
      for (const [scheme, key] of Object.entries(keys)) shown.preauthorizeApiKey(scheme, key)
    },
  })
}
