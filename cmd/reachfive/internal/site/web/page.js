import { ownClient, randomText } from './own.js'
import { sdkClient } from './sdk.js'

const config = JSON.parse(document.body.dataset.config)
const redirectUri = location.origin + location.pathname
const byID = (id) => document.getElementById(id)

let client
let tokens // in this page's memory only
let deadline // of the ID token, by this browser's clock, in milliseconds

// make builds an element; text goes in as text.
function make(tag, className, ...content) {
  const element = document.createElement(tag)
  element.className = className
  element.append(...content)
  return element
}

function say(text) {
  byID('message').textContent = text
}

// send posts idtoken= as the SDK's guide has it, by XMLHttpRequest.
function send(path, token) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest()
    xhr.open('POST', path)
    xhr.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded')
    xhr.onload = () => resolve(xhr)
    xhr.onerror = () => reject(new Error('The backend did not answer'))
    xhr.send('idtoken=' + encodeURIComponent(token))
  })
}

function reasonOf(xhr) {
  try {
    const [code, ...rest] = JSON.parse(xhr.responseText).error_description.split(': ')
    return { code, text: rest.join(': ') }
  } catch {
    return { code: '', text: xhr.responseText }
  }
}

// showAnswer tells status, reason and challenge of what the backend said.
function showAnswer(place, xhr, accepted) {
  const kind = xhr.status === 200 ? 'good' : xhr.status === 503 ? 'wait' : 'bad'
  const verdict = make('p', 'verdict', make('span', `pill ${kind}`, String(xhr.status)))
  const lines = [verdict]
  if (xhr.status === 200) {
    verdict.append(accepted)
  } else {
    const { code, text } = reasonOf(xhr)
    const challenge = xhr.getResponseHeader('WWW-Authenticate')
    const retry = xhr.getResponseHeader('Retry-After')
    verdict.append(make('code', 'reason', code))
    if (!challenge) verdict.append(make('span', '', text))
    if (challenge) lines.push(make('p', 'challenge mono', `WWW-Authenticate: ${challenge}`))
    if (retry) lines.push(make('p', 'challenge mono', `Retry-After: ${retry}`))
  }
  place.replaceChildren(...lines)
}

function facts(list, rows) {
  list.replaceChildren(...rows.filter(([, value]) => value !== undefined && value !== '')
    .flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]))
}

// --- signing in and out

async function startSignIn(event) {
  event.preventDefault()
  say('')
  byID('submit').disabled = true
  try {
    const response = await fetch('/session/nonce', { method: 'POST' })
    if (!response.ok) throw new Error('The backend gave no nonce')
    const nonce = await response.text()
    const state = randomText()
    sessionStorage.setItem('state', state)
    await finishSignIn(await client.signIn({
      email: byID('email').value, password: byID('password').value, nonce, state,
      webMessage: new FormData(byID('form')).get('flow') === 'web-message',
    }))
  } catch (error) {
    say(error.message)
  } finally {
    byID('submit').disabled = false
  }
}

// comeBack takes the code out of the address, where it does not stay.
async function comeBack() {
  const query = new URLSearchParams(location.search)
  if (!query.has('code') && !query.has('error')) return
  history.replaceState(null, '', redirectUri)
  const state = sessionStorage.getItem('state')
  sessionStorage.removeItem('state')
  if (query.has('error')) return say(query.get('error_description') ?? query.get('error'))
  if (!state || query.get('state') !== state) return say('The answer belongs to another sign-in')
  try {
    await finishSignIn(await client.exchange(query.get('code')))
  } catch (error) {
    say(error.message)
  }
}

async function finishSignIn(result) {
  const xhr = await send('/session', result.idToken)
  if (xhr.status !== 200) {
    const { code, text } = reasonOf(xhr)
    return say(`${xhr.status} ${code}: ${text}`)
  }
  tokens = result
  sessionStorage.setItem('signed-in', xhr.responseText)
  await showSession(xhr.responseText)
  const checked = await send('/check', tokens.idToken)
  if (checked.status === 200) showChecks(JSON.parse(checked.responseText).checked)
  byID('send-mine').disabled = false
  byID('who-title').focus()
}

async function showSession(name) {
  const response = await fetch('/me')
  if (!response.ok) return sessionStorage.removeItem('signed-in') // the session is over
  const user = await response.json()
  byID('who-title').textContent = 'Signed in as: ' + name
  facts(byID('profile'), [
    ['User ID', user.sub],
    ['E-mail', user.email && user.email + (user.email_verified ? ' (verified)' : ' (not verified)')],
    ['Given name', user.given_name],
    ['Family name', user.family_name],
    ['Birthdate', user.birthdate],
    ['Locale', user.locale],
    ['Signed in by', user.auth_type],
    ['Signed in at', user.auth_time && new Date(user.auth_time * 1000).toLocaleTimeString()],
  ])
  byID('sign-in').hidden = true
  byID('who').hidden = false
  if (!tokens) byID('unchecked').textContent = 'The page was loaded anew: the session goes on, the ID token is gone.'
}

// signOut ends the session here, then the tokens at the tenant, from where the
// page comes back.
async function signOut() {
  const ending = tokens
  const response = await fetch('/session', { method: 'DELETE' })
  if (!response.ok) throw new Error('The backend did not end the session')
  tokens = deadline = undefined
  sessionStorage.removeItem('signed-in')
  showSignedOut()
  if (!ending) return
  sessionStorage.setItem('signed-out', 'yes')
  await client.signOut(ending)
}

function showSignedOut() {
  byID('who').hidden = true
  byID('sign-in').hidden = false
  byID('checks').hidden = true
  byID('unchecked').hidden = false
  byID('unchecked').textContent = 'Nothing now: you have signed out.'
  byID('send-mine').disabled = true
  byID('email').focus()
}

// --- what was checked

function showChecks(checked) {
  const rows = [
    ['Algorithm', checked.algorithm, 'the configured one; the token has no say in it'],
    ['Key', checked.key.id, `RSA, ${checked.key.bits} bits, thumbprint ${checked.key.thumbprint}`],
    ['Signature', 'verified', 'before a byte of the claims was read'],
    ['Issuer', checked.issuer, 'this tenant, to the letter'],
    ['Audience', checked.audience.join(', '), 'this client, and nobody else'],
    ['Nonce', 'of this browser', 'the token belongs to the sign-in that began here'],
  ]
  const timer = make('span', '', make('b', 'timer', ''), make('small', '', 'refused from that second on'))
  timer.firstChild.setAttribute('role', 'timer')
  timer.firstChild.id = 'timer'
  byID('checks').replaceChildren(
    ...rows.map(([name, value, why]) => make('li', '', make('b', '', name), make('span', '', value, make('small', '', why)))),
    make('li', '', make('b', '', 'Expiry'), timer),
  )
  deadline = Date.now() + checked.expires * 1000 - checked.now
  tick()
  byID('checks').hidden = false
  byID('unchecked').hidden = true
}

function tick() {
  if (!deadline) return
  const left = Math.max(0, Math.ceil((deadline - Date.now()) / 1000))
  const two = (n) => String(n).padStart(2, '0')
  byID('timer').textContent = left
    ? `in ${Math.floor(left / 3600)}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`
    : 'expired'
}

// --- forgeries

async function forge(kind) {
  const response = await fetch(`/demo/token/${kind}`, { method: 'POST' })
  if (!response.ok) throw new Error('The demo made no token')
  const { token, provider } = await response.json()
  showProvider(provider)
  return token
}

function listForgeries() {
  byID('forgeries').append(...config.forgeries.map(({ kind, name, what }) => {
    const button = make('button', '', name)
    button.dataset.forgery = kind
    const result = make('div', 'result', make('p', 'what', what))
    result.setAttribute('role', 'status')
    button.addEventListener('click', guarded(async () => {
      showAnswer(result, await send('/check', await forge(kind)), 'It was taken in!')
    }))
    return make('li', '', button, result)
  }))
}

// --- the provider

function showProvider(state) {
  const keys = (ids) => ids.join(', ') || 'none'
  facts(byID('state'), [
    ['Tenant', make('span', `pill ${state.up ? 'good' : 'wait'}`, state.up ? 'up' : 'down')],
    ['It publishes', keys(state.published)],
    ['Backend knows', keys(state.known)],
    ['Key fetches', `${state.fetches}, ${state.failures} failed`],
  ])
  const power = document.querySelector('[data-switch=down], [data-switch=up]')
  power.dataset.switch = state.up ? 'down' : 'up'
  power.textContent = state.up ? 'Take it down' : 'Bring it up'
  document.querySelector('[data-switch=remove]').disabled = state.published.length < 2
}

async function provider(path, method) {
  const response = await fetch(`/demo/provider${path}`, { method })
  if (!response.ok) throw new Error('The demo did not answer')
  showProvider(await response.json())
}

async function ask(token, whose, isNew) {
  const xhr = await send('/check', token)
  showAnswer(byID('provider-result'), xhr, `${whose} passes, by ${keyOf(xhr)}`)
  byID('budget').hidden = !isNew || reasonOf(xhr).code !== 'unknown_key'
  await provider('', 'GET')
}

const keyOf = (xhr) => xhr.status === 200 ? JSON.parse(xhr.responseText).checked.key.id : ''

// guarded runs one action at a time for its button, and tells what failed.
function guarded(action) {
  return async (event) => {
    const button = event.currentTarget
    if (button.ariaBusy === 'true') return
    button.ariaBusy = 'true'
    say('')
    try {
      await action(event)
    } catch (error) {
      say(error.message)
    } finally {
      button.ariaBusy = 'false'
    }
  }
}

function wire() {
  byID('email').value = config.email
  byID('password').value = config.password
  byID('form').addEventListener('submit', startSignIn)
  byID('sign-out').addEventListener('click', guarded(signOut))
  for (const button of document.querySelectorAll('[data-switch]')) {
    button.addEventListener('click', guarded(async () => provider(`/${button.dataset.switch}`, 'POST')))
  }
  byID('send-mine').addEventListener('click', guarded(() => ask(tokens.idToken, 'Your token')))
  byID('send-new').addEventListener('click', guarded(async () => ask(await forge('new-key'), 'A new key’s token', true)))
  byID('fool-all').addEventListener('click', guarded(async () => {
    for (const { kind } of config.forgeries) {
      document.querySelector(`[data-forgery=${kind}]`).click()
    }
  }))
  setInterval(tick, 1000)
}

function whyNot(text) {
  byID('why-not').textContent = text
  byID('why-not').hidden = false
  byID('submit').disabled = true
}

async function main() {
  byID(config.mode === 'own' ? 'to-own' : 'to-sdk').setAttribute('aria-current', 'page')
  listForgeries()
  wire()
  if (sessionStorage.getItem('signed-out')) showSignedOut()
  sessionStorage.removeItem('signed-out')
  await provider('', 'GET')
  const settings = { ...config, redirectUri }
  if (config.mode === 'no-sdk') return whyNot('The vendor’s SDK is not part of this command: make demo-sdk brings it, in a browser that trusts the tenant’s certificate.')
  try {
    client = config.mode === 'own' ? ownClient(settings) : await sdkClient(settings)
  } catch {
    return whyNot('The SDK speaks https only, and this browser does not trust the tenant’s certificate: make demo-sdk opens one that does.')
  }
  const name = sessionStorage.getItem('signed-in')
  await comeBack()
  if (name !== null && !tokens) await showSession(name)
}

main().catch((error) => say(error.message))
