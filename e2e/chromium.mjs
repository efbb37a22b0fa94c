// Debian's Chromium as the end-to-end scripts drive it: headless, with a
// profile that ends with it, and without what it asks of its maker's servers.

import { chromium } from 'playwright-core'

export const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

export const quietly = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]

export function launch({ headless = true, args = [] } = {}) {
  return chromium.launch({ executablePath, headless, args: ['--no-sandbox', ...quietly, ...args] })
}
