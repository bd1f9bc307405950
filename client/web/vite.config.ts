import { defineConfig } from "vite";

// SEXTANT_HTTP: where `npm run dev` finds a running service.
export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { outDir: process.env.SEXTANT_WEB_OUT ?? "dist", emptyOutDir: true, target: "es2022" },
  server: { proxy: { "/api": process.env.SEXTANT_HTTP ?? "http://127.0.0.1:7071" } },
});
