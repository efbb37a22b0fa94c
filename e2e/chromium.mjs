// Chromium as the end-to-end scripts drive it: headless, with a profile that is
// removed with it, and without requests to its vendor's servers.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

// The path of Chromium: CHROMIUM, or the one on the PATH, or the one that
// scripts/setup has unpacked.
export const executablePath = process.env.CHROMIUM || onPath('chromium')

function onPath(program) {
  const unpacked = fileURLToPath(new URL('../.cache/bin', import.meta.url))
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), unpacked]) {
    const path = join(folder, program)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch { /* not in this folder */ }
  }
  throw new Error('Chromium is missing: run `scripts/setup chromium`, or set CHROMIUM to its path')
}

export const quietly = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  '--disable-dev-shm-usage', // a container has a small /dev/shm, a chroot may have none
]

export function launch({ headless = true, args = [] } = {}) {
  return chromium.launch({ executablePath, headless, args: ['--no-sandbox', ...quietly, ...args] })
}
