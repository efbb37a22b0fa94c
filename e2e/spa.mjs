// Drives the page of `reachfive demo --serve` in Chromium: sign-in with ReachFive's
// own SDK and with the page's small script, the forgeries, the tenant's switches,
// and what another site may try. A request that would leave the machine is aborted
// and fails the run.
//
//   node e2e/spa.mjs [--screenshots FOLDER] [--headed]

import assert from 'node:assert/strict'
import { parseArgs } from 'node:util'
import { launch } from './chromium.mjs'
import { look } from './demo-look.mjs'
import {
  away, button, elsewhere, end, form, launchTrusting, on, postedToken, raw, sessionOf, signedIn, signIn, url,
} from './demo-page.mjs'
import { finish, scenario } from './scenarios.mjs'

const { values: flags } = parseArgs({ options: { screenshots: { type: 'string' }, headed: { type: 'boolean' } } })

// --- the tenant's switches, first: the backend still has both fetches for unknown keys

const answer = (page) => page.locator('#provider-result')
const flip = async (page, name) => Promise.all([page.waitForResponse(/\/demo\/provider\/./), button(page, name).click()])

await scenario("provider down: my token passes, a new key's gets 503 with Retry-After, nobody is signed out", on('/', {}, async ({ page, context }) => {
  await signIn(page)
  await flip(page, 'Take it down')
  await button(page, 'Send my token').click()
  await answer(page).getByText('Your token is accepted').waitFor()
  const [response] = await Promise.all([page.waitForResponse('**/check'), button(page, 'Send a token of a new key').click()])
  assert.equal(response.status(), 503)
  assert.match(response.headers()['retry-after'], /^[1-9]\d*$/)
  assert.equal(response.headers()['www-authenticate'], undefined)
  await answer(page).getByText('keys_unavailable').waitFor()
  await answer(page).getByText(/^Retry-After: \d+$/).waitFor()
  await button(page, 'Send my token').click()
  await answer(page).getByText('Your token is accepted').waitFor()
  assert.ok(await sessionOf(context))
  await page.reload()
  await signedIn(page).waitFor()
  await flip(page, 'Bring it up')
}))

await scenario('provider up again: a rotated key is accepted on its first token, a removed one is refused', on('/', {}, async ({ page }) => {
  await signIn(page)
  await flip(page, 'Rotate the key')
  await button(page, 'Send a token of a new key').click()
  await answer(page).getByText('A new key’s token is accepted').waitFor()
  await button(page, 'Send my token').click()
  await answer(page).getByText('Your token is accepted').waitFor()
  await flip(page, 'Remove the old key')
  assert.equal(await answer(page).innerText(), '', 'the answer from before the switch is gone')
  await button(page, 'Send my token').click()
  await answer(page).getByText('unknown_key', { exact: true }).waitFor()
  assert.ok(await button(page, 'Remove the old key').isDisabled())
}))

// --- signing in

const clients = [['/', 'the small script'], ['/sdk', "ReachFive's SDK"]]

for (const [path, client] of clients) {
  for (const flow of ['By redirect', 'By web message']) {
    await scenario(`sign-in with ${client}, ${flow.toLowerCase()}`, on(path, {}, async ({ page, context, calls }) => {
      const posts = []
      page.on('request', (request) => {
        if (request.method() === 'POST' && request.url() === new URL('/session', url).href) posts.push(request)
      })
      await signIn(page, flow)
      assert.equal(posts.length, 1)
      assert.match(posts[0].postData(), /^idtoken=[\w-]+\.[\w-]+\.[\w-]+$/)
      assert.equal(posts[0].resourceType(), 'xhr')
      assert.equal((await posts[0].response()).status(), 200)
      assert.equal(page.url(), new URL(path, url).href, 'the code has left the address bar')
      for (const text of ['john.doe@example.com (verified)', 'RS256', 'as configured, whatever the token’s header says']) {
        await page.getByText(text).waitFor()
      }
      assert.match(await page.getByRole('timer').innerText(), /^in 2[34]:\d\d:\d\d$/)
      const before = await page.getByRole('timer').innerText()
      await page.waitForFunction((text) => document.getElementById('timer').textContent !== text, before)
      const { httpOnly, secure, sameSite } = await sessionOf(context)
      assert.deepEqual({ httpOnly, secure, sameSite }, { httpOnly: true, secure: true, sameSite: 'Strict' })
      for (const call of ['POST /identity/v1/password/login', 'GET /oauth/authorize', 'POST /oauth/token']) {
        assert.ok(calls.includes(call), calls.join(', '))
      }
      assert.equal(calls.includes('GET /identity/v1/config'), path === '/sdk')
    }))
  }

  await scenario(`a wrong password is refused, with ${client}`, on(path, {}, async ({ page, context }) => {
    await page.getByLabel('Password').fill('wrong')
    await button(page, 'Sign in').click()
    await page.getByText('Invalid email or password').waitFor()
    assert.equal(await sessionOf(context), undefined)
    assert.ok(await button(page, 'Sign in').isEnabled())
  }))

  await scenario(`sign-out ends the session and revokes the tokens, with ${client}`, on(path, {}, async ({ page, context }) => {
    await signIn(page)
    const { value } = await sessionOf(context)
    const revoked = page.waitForResponse((response) => response.url().endsWith('/oauth/revoke') && response.request().method() === 'POST')
    const loggedOut = page.waitForResponse('**/identity/v1/logout?*')
    await button(page, 'Sign out').click()
    assert.equal((await revoked).status(), 204)
    assert.equal((await loggedOut).status(), 302)
    await page.waitForURL((at) => at.href === new URL(path, url).href && at.search === '')
    await page.getByText('you have signed out').waitFor()
    assert.equal(await sessionOf(context), undefined)
    assert.equal((await raw('GET', '/me', { headers: { cookie: `session=${value}` } })).status, 401, 'the old cookie opens nothing')
    await page.reload()
    await button(page, 'Sign in').waitFor()
  }))
}

await scenario('a reloaded page has the session, and no token', on('/', {}, async ({ page }) => {
  await signIn(page)
  await page.reload()
  await signedIn(page).waitFor()
  await page.getByText('no longer has the ID token').waitFor()
  assert.ok(await button(page, 'Send my token').isDisabled())
}))

const busyOnce = () => {
  let answered = false
  return async (route, pathname) => {
    if (answered || pathname !== '/session' || route.request().method() !== 'POST') return undefined
    answered = true
    await route.fulfill({
      status: 503, contentType: 'application/json', headers: { 'Retry-After': '1' },
      body: '{"error":"temporarily_unavailable","error_description":"keys_unavailable: the keys cannot be fetched now"}',
    })
    return true
  }
}
await scenario('a backend that cannot decide yet is asked again when it says so', on('/', { rewrite: busyOnce() }, async ({ page, calls }) => {
  await button(page, 'Sign in').click()
  await page.getByText('The backend cannot decide yet (keys_unavailable). Trying again in 1 s.').waitFor()
  await signedIn(page).waitFor()
  assert.equal(calls.filter((call) => call === 'GET /oauth/authorize').length, 1, 'one sign-in')
  assert.equal(await page.locator('#message').innerText(), '')
}))

await scenario('an answer of another sign-in is not accepted', on('/?code=stolen&state=another', {}, async ({ page, context }) => {
  await page.getByText('The answer belongs to another sign-in').waitFor()
  assert.equal(new URL(page.url()).search, '')
  assert.equal(await sessionOf(context), undefined)
}))

// --- forgeries

const forgeries = {
  'Expired token': 'expired',
  'Another client’s token': 'wrong_audience',
  'Another issuer’s token': 'wrong_issuer',
  'alg “none”': 'malformed_token',
  'HMAC confusion': 'unsupported_algorithm',
  'Changed payload': 'invalid_signature',
  'A newline inside': 'malformed_token',
  'Unsigned JSON around a real token': 'malformed_token',
  'A removed key’s token': 'unknown_key',
}

for (const [name, code] of Object.entries(forgeries)) {
  await scenario(`fool it: ${name} is 401 ${code}`, on('/', {}, async ({ page }) => {
    const [response] = await Promise.all([page.waitForResponse('**/check/forged'), button(page, name).click()])
    assert.equal(response.status(), 401)
    const row = page.getByRole('listitem').filter({ has: button(page, name) })
    await row.getByText('401', { exact: true }).waitFor()
    await row.getByText(code, { exact: true }).waitFor()
    await row.getByText(`WWW-Authenticate: Bearer realm="reachfive", error="invalid_token", error_description="${code}: `).waitFor()
    assert.equal((await response.json()).error, 'invalid_token')
  }))
}

// --- another site, and bad input

await scenario('another site signs nobody in, by XMLHttpRequest or by form', on('/', {}, async ({ page, context }) => {
  const token = await postedToken(page)
  const before = (await sessionOf(context)).value
  const evil = await context.newPage()
  await evil.goto(`http://127.0.0.1:${elsewhere.address().port}/`)
  const unreadable = evil.waitForEvent('requestfailed')
  const readable = await evil.evaluate(([target, idtoken]) => new Promise((resolve) => {
    const xhr = new XMLHttpRequest()
    xhr.open('POST', target)
    xhr.withCredentials = true
    xhr.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded')
    xhr.onload = () => resolve(true)
    xhr.onerror = () => resolve(false)
    xhr.send('idtoken=' + idtoken)
  }), [new URL('/session', url).href, token])
  assert.equal(readable, false)
  assert.equal((await unreadable).url(), new URL('/session', url).href)
  const [navigated] = await Promise.all([evil.waitForResponse('**/session'), evil.evaluate(([target, idtoken]) => {
    const sent = document.createElement('form')
    sent.method = 'post'
    sent.action = target
    const field = document.createElement('input')
    field.name = 'idtoken'
    field.value = idtoken
    sent.append(field)
    document.body.append(sent)
    sent.submit()
  }, [new URL('/session', url).href, token])])
  assert.equal(navigated.status(), 403)
  assert.match((await navigated.json()).error_description, /^untrusted_origin: /)
  assert.equal((await sessionOf(context)).value, before, 'the visitor is who they were')
}))

let token
await scenario('the page posts its token as idtoken=', on('/', {}, async ({ page }) => {
  token = await postedToken(page)
  assert.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
}))

const badInput = [
  ['a form over 64 KiB', 'POST', '/session', { headers: form, body: 'idtoken=' + 'a'.repeat(64 << 10) }, 413, 'body_too_large'],
  ['JSON', 'POST', '/session', { headers: { 'content-type': 'application/json' }, body: '{"idtoken":"x"}' }, 415, 'wrong_content_type'],
  ['multipart', 'POST', '/session', { headers: { 'content-type': 'multipart/form-data; boundary=b' }, body: '--b--\r\n' }, 415, 'wrong_content_type'],
  ['two idtoken fields', 'POST', '/session', { headers: form, body: `idtoken=${token}&idtoken=${token}` }, 400, 'invalid_request'],
  ['a token in the query', 'POST', `/session?idtoken=${token}`, { headers: form, body: 'a=b' }, 401, 'missing_token'],
  ['a form and a Bearer token together', 'POST', '/check', { headers: { ...form, authorization: `Bearer ${token}` }, body: `idtoken=${token}` }, 400, 'invalid_request'],
  ['a token that belongs to no sign-in of this browser', 'POST', '/session', { headers: form, body: `idtoken=${token}` }, 401, 'wrong_nonce'],
  ['an untrusted Origin', 'POST', '/session', { headers: { ...form, origin: 'https://other.example' }, body: `idtoken=${token}` }, 403, 'untrusted_origin'],
  ['GET', 'GET', '/session', {}, 405, undefined],
]
for (const [name, method, path, sent, status, code] of badInput) {
  await scenario(`bad input: ${name} is ${status} ${code ?? 'by the mux'}`, async () => {
    const got = await raw(method, path, sent)
    assert.deepEqual([got.status, got.code], [status, code], got.text)
    if (status !== 405) assert.equal(got.headers['cache-control'], 'no-store')
    assert.equal(got.headers['set-cookie'], undefined)
  })
}

await look(flags.screenshots)

await scenario('a browser that does not trust the certificate is told why the SDK cannot sign in', async () => {
  const other = await launch()
  try {
    await on('/sdk', { in: other, flawed: true }, async ({ page }) => {
      await page.getByRole('alert').filter({ hasText: 'does not trust the tenant’s certificate. make demo-sdk' }).waitFor()
      assert.ok(await button(page, 'Sign in').isDisabled())
    })()
    await on('/', { in: other }, async ({ page }) => signIn(page))()
  } finally {
    await other.close()
  }
})

const strict = async (route, pathname) => {
  if (pathname !== '/sdk') return undefined
  const { headers, text } = await raw('GET', pathname)
  const policy = headers['content-security-policy'].replace(/; style-src-attr .*/, '')
  await route.fulfill({ body: text, contentType: 'text/html', headers: { 'content-security-policy': policy } })
  return true
}
await scenario("measured: the SDK's frame needs one style attribute beyond the strict policy", async () => {
  // To Chromium a page that the test answers itself comes from no network. It
  // would ask for permission before such a page may call loopback.
  const other = await launchTrusting({ args: ['--disable-features=LocalNetworkAccessChecks'] })
  try {
    await on('/sdk', { in: other, rewrite: strict, flawed: true }, async ({ page, problems }) => {
      await signIn(page)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.match(problems[0], /inline style violates.*style-src 'self'/s)
    })()
  } finally {
    await other.close()
  }
})

const undeclared = (route, pathname) => pathname === '/web/before-sdk.js' ? route.fulfill({ body: '', contentType: 'text/javascript' }).then(() => true) : undefined
await scenario("measured: if its global is not declared, the SDK's bundle evaluates a string, which the policy refuses", on('/sdk', { rewrite: undeclared, flawed: true }, async ({ page, problems }) => {
  await page.getByRole('alert').waitFor()
  assert.match(problems.join('\n'), /unsafe-eval|TrustedScript/)
}))

await scenario('no request left the machine', () => assert.deepEqual([...away], []))

await end()
finish()
