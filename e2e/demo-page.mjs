// The demo's page in Chromium, for the scripts that drive it.

import assert from 'node:assert/strict'
import { createServer, request as httpRequest } from 'node:http'
import { launch } from './chromium.mjs'
import { startDemo } from './demo.mjs'

const { url, spki, stop } = await startDemo()
export { url }
const app = new URL(url)

// launchTrusting launches a browser that trusts the tenant's certificate.
export const launchTrusting = ({ args = [], ...options } = {}) =>
  launch({ args: [`--ignore-certificate-errors-spki-list=${spki}`, ...args], ...options })

const browser = await launchTrusting({ headless: !process.argv.includes('--headed') })
export const away = new Set() // hosts that are not this machine

// Another site, with a host of its own.
export const elsewhere = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<h1>Another site</h1>'))
await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))

// Chromium logs an expected refusal as an error.
const asked = /Failed to load resource: the server responded with a status of (401|403|503)/

// visit opens a page in a new profile. A request that would leave the machine is
// aborted.
export async function visit(path, { rewrite, in: within = browser, ...options } = {}) {
  const context = await within.newContext({ viewport: { width: 1180, height: 900 }, ...options })
  context.setDefaultTimeout(15_000)
  const problems = []
  const calls = []
  await context.route('**/*', async (route) => {
    const { hostname, pathname } = new URL(route.request().url())
    calls.push(`${route.request().method()} ${pathname}`)
    if (!/^(.+\.localhost|127\.0\.0\.1)$/.test(hostname)) {
      away.add(hostname)
      return route.abort('blockedbyclient')
    }
    return await rewrite?.(route, pathname) ?? route.continue()
  })
  const page = await context.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error' && !asked.test(message.text())) problems.push(message.text())
  })
  page.on('pageerror', (error) => problems.push(String(error)))
  await page.goto(new URL(path, url).href)
  await page.getByText('Keys in the backend').waitFor()
  return { context, page, problems, calls }
}

// on makes a scenario of run, which gets a page of its own.
export const on = (path, options, run) => async () => {
  const visited = await visit(path, options)
  try {
    await run(visited)
    if (!options.flawed) assert.deepEqual(visited.problems, [], 'console errors')
  } catch (error) {
    error.stack += `\nconsole: ${visited.problems.join('\n')}\npage: ${await visited.page.locator('body').innerText()}`
    throw error
  } finally {
    await visited.context.close()
  }
}

export const button = (page, name) => page.getByRole('button', { name, exact: true })
export const signedIn = (page) => page.getByRole('heading', { name: 'Signed in as: John Doe' })

export async function signIn(page, flow = 'By web message') {
  await page.getByLabel(flow).check()
  await button(page, 'Sign in').click()
  await signedIn(page).waitFor()
  await page.getByRole('timer').waitFor()
}

// postedToken signs in and returns the token that the page posted.
export async function postedToken(page) {
  const [request] = await Promise.all([page.waitForRequest('**/session'), signIn(page)])
  return new URLSearchParams(request.postData()).get('idtoken')
}

export const sessionOf = async (context) => (await context.cookies(url)).find(({ name }) => name === 'session')

// raw sends one request without a browser.
export function raw(method, path, { headers = {}, body = '' } = {}) {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port: app.port, method, path, headers: { host: app.host, ...headers } }, async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      const description = text.startsWith('{') ? JSON.parse(text).error_description : undefined
      resolve({ status: response.statusCode, headers: response.headers, text, code: description?.split(':')[0] })
    })
    request.on('error', reject)
    request.end(body)
  })
}

export const form = { 'content-type': 'application/x-www-form-urlencoded' }

// end closes everything that this module has started.
export async function end() {
  await browser.close()
  elsewhere.closeAllConnections()
  elsewhere.close()
  stop()
}
