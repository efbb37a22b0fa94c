// Calls an API from each page in PAGES with each request in CALLS, in a Chromium
// that resolves names by RULES, and prints as JSON, for each page, what its calls
// returned and how the preflights that the browser sent were answered.

import { launch } from './chromium.mjs'

const browser = await launch({ args: [`--host-resolver-rules=${process.env.RULES}`] })
try {
  const outcomes = {}
  for (const [name, url] of Object.entries(JSON.parse(process.env.PAGES))) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    const preflights = []
    const protocol = await context.newCDPSession(page)
    await protocol.send('Network.enable')
    protocol.on('Network.responseReceived', ({ type, response }) => {
      if (type === 'Preflight') preflights.push(response.status)
    })
    await page.goto(url)
    const answers = {}
    const calls = Object.entries(JSON.parse(process.env.CALLS))
    for (const [call, [address, options]] of calls) {
      answers[call] = await page.evaluate(ask, [address, options])
    }
    // The browser reports them on a connection of its own, so maybe later.
    for (let i = 0; i < 100 && preflights.length < calls.length; i++) await page.waitForTimeout(100)
    outcomes[name] = { answers, preflights }
    await context.close()
  }
  console.log(JSON.stringify(outcomes))
} finally {
  await browser.close()
}

// ask runs in the page: it returns what the page may read of the answer.
async function ask([address, options]) {
  try {
    const response = await fetch(address, options)
    return { status: response.status, challenge: response.headers.get('WWW-Authenticate') ?? '', body: await response.text() }
  } catch (error) {
    return { error: error.name }
  }
}
