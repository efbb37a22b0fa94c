// Bundles the page of examples/embedded with Reach's components and React from
// this folder's node_modules:
//
//   node e2e/embedded-bundle.mjs [FOLDER]
//
// FOLDER defaults to examples/embedded/bundle. Git ignores that folder, because
// the vendor's code must not be committed.

import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export const here = fileURLToPath(new URL('.', import.meta.url))
const page = fileURLToPath(new URL('../examples/embedded/web/page.jsx', import.meta.url))

export async function bundle(outdir) {
  await build({
    entryPoints: [page],
    outdir,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    minify: true,
    legalComments: 'external',
    nodePaths: [`${here}node_modules`],
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundle(process.argv[2] ?? fileURLToPath(new URL('../examples/embedded/bundle', import.meta.url)))
}
