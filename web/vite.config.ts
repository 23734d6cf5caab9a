import { defineConfig } from "vite"

// one folder of files with hashed names: the server sends each by its name, and lets browsers keep it for ever
export default defineConfig({
  base: "./",
  build: {
    assetsDir: "",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
    reportCompressedSize: false,
    // that of the reference, which is loaded when it is opened
    chunkSizeWarningLimit: 1700,
  },
  server: { proxy: { "/_mock": { target: "http://127.0.0.1:8000", bypass: skipPage } } },
})

function skipPage(request: { url?: string | undefined }): string | undefined {
  return request.url?.startsWith("/_mock/ui") ? request.url : undefined
}
