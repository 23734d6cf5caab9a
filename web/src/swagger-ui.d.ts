// only what the page uses
declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  export interface Props {
    operationProps: { get: (name: string) => unknown }
  }
  export interface System {
    specSelectors: { specJson: () => { getIn: (path: readonly unknown[]) => unknown } }
    React: {
      Fragment: unknown
      createElement: (type: unknown, props: object | null, ...children: unknown[]) => unknown
    }
  }
  export default function SwaggerUI(options: object): {
    preauthorizeApiKey: (scheme: string, key: string) => void
  }
}
