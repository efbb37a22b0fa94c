// The sign-in of ReachFive's browser SDK: the password, then the authorization
// code with PKCE (RFC 7636). A page of yours may use the SDK instead: the rest of
// this page needs nothing but the ID token.

const codeVerifierKey = 'embedded.code_verifier'
const stateKey = 'embedded.state'

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)))

const redirectURI = () => location.origin + '/'

async function post(url, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json;charset=UTF-8' },
    body: JSON.stringify(body),
  })
  const answer = await response.json()
  if (!response.ok) {
    throw new Error(answer.error_user_msg ?? answer.error_description ?? 'The sign-in failed')
  }
  return answer
}

// signIn leaves the page. When ReachFive sends the browser back, finishSignIn
// continues.
export async function signIn({ reachFive, clientId }, email, password) {
  const scope = 'openid profile email'
  const { tkn } = await post(`${reachFive}/identity/v1/password/login`, { client_id: clientId, scope, email, password })
  const verifier = random()
  const state = random()
  sessionStorage.setItem(codeVerifierKey, verifier)
  sessionStorage.setItem(stateKey, state)
  const challenge = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier)))
  location.assign(`${reachFive}/oauth/authorize?` + new URLSearchParams({
    client_id: clientId,
    response_type: 'code',
    redirect_uri: redirectURI(),
    scope,
    display: 'page',
    code_challenge: base64url(challenge),
    code_challenge_method: 'S256',
    state,
    tkn,
  }))
}

// finishSignIn resolves to the ID token, or to undefined if the page was not
// opened by a sign-in. It removes the code from the address bar at once.
export async function finishSignIn({ reachFive, clientId }) {
  const query = new URLSearchParams(location.search)
  const code = query.get('code')
  const verifier = sessionStorage.getItem(codeVerifierKey)
  const state = sessionStorage.getItem(stateKey)
  sessionStorage.removeItem(codeVerifierKey)
  sessionStorage.removeItem(stateKey)
  if (!code) return undefined
  history.replaceState(null, '', '/')
  if (!verifier || query.get('state') !== state) throw new Error('This sign-in did not start here')
  const tokens = await post(`${reachFive}/oauth/token`, {
    client_id: clientId,
    grant_type: 'authorization_code',
    code_verifier: verifier,
    code,
    redirect_uri: redirectURI(),
  })
  return tokens.id_token
}
