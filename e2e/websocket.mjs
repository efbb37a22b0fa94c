// Opens a WebSocket from each page in PAGES, in a Chromium that has signed in at
// SIGN_IN, and prints what became of each as JSON.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { executablePath, quietly } from './chromium.mjs'

// By default Chromium sends no cookie with requests of another site's page. Users
// can allow it, other browsers do, and this profile does, so that a refusal is
// the server's and not the browser's.
const profile = mkdtempSync(join(tmpdir(), 'websocket-'))
mkdirSync(join(profile, 'Default'))
writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify({
  profile: { cookie_controls_mode: 0, block_third_party_cookies: false },
}))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath, ignoreHTTPSErrors: true, args: ['--no-sandbox', ...quietly],
})
try {
  const page = await browser.newPage()
  await page.goto(process.env.SIGN_IN)
  const outcomes = {}
  for (const [name, url] of Object.entries(JSON.parse(process.env.PAGES))) {
    await page.goto(url)
    outcomes[name] = await page.evaluate(open, process.env.SOCKET)
  }
  console.log(JSON.stringify(outcomes))
} finally {
  await browser.close()
  rmSync(profile, { recursive: true, force: true })
}

// open runs in the page: it returns the first message, or "refused".
function open(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url)
    socket.onmessage = (event) => resolve(event.data)
    socket.onerror = () => resolve('refused')
  })
}
