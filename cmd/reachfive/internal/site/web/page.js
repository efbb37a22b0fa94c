import { ownClient, randomText } from './own.js'
import { sdkClient } from './sdk.js'

const config = JSON.parse(document.body.dataset.config)
const redirectUri = location.origin + location.pathname
const byID = (id) => document.getElementById(id)

let client
let tokens // in this page's memory only
let deadline // of the ID token, by this browser's clock, in milliseconds
let up // whether the tenant is up

// make returns an element. Strings become text, never markup.
function make(tag, className, ...content) {
  const element = document.createElement(tag)
  element.className = className
  element.append(...content)
  return element
}

function say(text) {
  byID('message').textContent = text
}

// send posts idtoken= with XMLHttpRequest, as the SDK's guide does.
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

// showAnswer shows the status, the reason and the challenge of an answer.
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

// comeBack removes the code from the address bar and signs in with it.
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

// postSession posts the token. If the backend cannot decide yet, because it has
// spent its fetches of unknown keys, the token is posted again when it asks for it.
async function postSession(idToken) {
  const xhr = await send('/session', idToken)
  const seconds = Number(xhr.getResponseHeader('Retry-After'))
  if (xhr.status !== 503 || !(seconds > 0 && seconds <= 15)) return xhr
  say(`The backend cannot decide yet (${reasonOf(xhr).code}). Trying again in ${seconds} s.`)
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  say('')
  return send('/session', idToken)
}

async function finishSignIn(result) {
  const xhr = await postSession(result.idToken)
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
  if (!tokens) byID('unchecked').textContent = 'The page was reloaded: the session continues, but the page no longer has the ID token.'
}

// signOut ends the session, then revokes the tokens. The tenant's logout redirects
// back to this page.
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
  byID('unchecked').textContent = 'Nothing: you have signed out.'
  byID('send-mine').disabled = true
  byID('email').focus()
}

// --- what was checked

function showChecks(checked) {
  const rows = [
    ['Algorithm', checked.algorithm, 'as configured, whatever the token’s header says'],
    ['Key', checked.key.id, `RSA, ${checked.key.bits} bits, thumbprint ${checked.key.thumbprint}`],
    ['Signature', 'verified', 'before the claims are read'],
    ['Issuer', checked.issuer, 'exactly this tenant'],
    ['Audience', checked.audience.join(', '), 'this client and no other'],
    ['Nonce', 'of this browser', 'the token belongs to the sign-in that this browser started'],
  ]
  const timer = make('span', '', make('b', 'timer', ''), make('small', '', 'then the token is refused'))
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
  if (!response.ok) throw new Error('The demo returned no token')
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
      showAnswer(result, await send('/check/forged', await forge(kind)), 'It was accepted!')
    }))
    return make('li', '', button, result)
  }))
}

// --- the tenant

// keyList shows the last five key IDs.
function keyList(ids) {
  const older = ids.length - 5
  return (ids.slice(-5).join(', ') || 'none') + (older > 0 ? ` and ${older} older` : '')
}

function showProvider(state) {
  up = state.up
  facts(byID('state'), [
    ['Status', make('span', `pill ${state.up ? 'good' : 'wait'}`, state.up ? 'up' : 'down')],
    ['Published keys', keyList(state.published)],
    ['Keys in the backend', keyList(state.known)],
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
  showAnswer(byID('provider-result'), xhr, `${whose} is accepted, signed with ${keyOf(xhr)}`)
  byID('budget').hidden = !(isNew && up && xhr.status !== 200)
  await provider('', 'GET')
}

// flip changes the tenant. An answer from before no longer holds.
async function flip(name) {
  await provider(`/${name}`, 'POST')
  byID('provider-result').replaceChildren()
  byID('budget').hidden = true
}

const keyOf = (xhr) => xhr.status === 200 ? JSON.parse(xhr.responseText).checked.key.id : ''

// guarded runs one action at a time for each button, and shows its error.
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
    button.addEventListener('click', guarded(() => flip(button.dataset.switch)))
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
  if (config.mode === 'no-sdk') return whyNot('This command does not contain ReachFive’s SDK. make demo-sdk installs it, and opens a browser that trusts the tenant’s certificate.')
  try {
    client = config.mode === 'own' ? ownClient(settings) : await sdkClient(settings)
  } catch {
    return whyNot('ReachFive’s SDK needs https, and this browser does not trust the tenant’s certificate. make demo-sdk opens a browser that does.')
  }
  const name = sessionStorage.getItem('signed-in')
  await comeBack()
  if (name !== null && !tokens) await showSession(name)
}

main().catch((error) => say(error.message))
