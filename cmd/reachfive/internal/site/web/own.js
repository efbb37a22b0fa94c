// A small client that makes the same calls as ReachFive's browser SDK: password
// login, then the code by redirect or web message, then PKCE.

const scope = 'openid profile email'

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

export const randomText = () => base64url(crypto.getRandomValues(new Uint8Array(32)))

const challengeOf = async (verifier) =>
  base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))))

export function ownClient({ tenant, clientId, redirectUri }) {
  async function post(path, body) {
    const response = await fetch(tenant + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json;charset=UTF-8' },
      body: JSON.stringify({ client_id: clientId, ...body }),
    })
    if (response.status === 204) return {}
    const answer = await response.json()
    if (!response.ok) throw new Error(answer.error_user_msg ?? answer.error_description ?? answer.error)
    return answer
  }

  async function exchange(code) {
    const verifier = sessionStorage.getItem('verifier')
    sessionStorage.removeItem('verifier')
    const answer = await post('/oauth/token', {
      grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri,
    })
    return { idToken: answer.id_token, accessToken: answer.access_token, refreshToken: answer.refresh_token }
  }

  function framed(url, state) {
    return new Promise((resolve, reject) => {
      const frame = document.createElement('iframe')
      frame.hidden = true
      frame.title = 'Sign-in'
      const end = (settle, value) => {
        clearTimeout(timer)
        removeEventListener('message', listen)
        frame.remove()
        settle(value)
      }
      const listen = ({ origin, source, data }) => {
        if (origin !== tenant || source !== frame.contentWindow || data?.type !== 'authorization_response') return
        const { code, error_description: refused, state: echoed } = data.response
        if (code && echoed === state) end(resolve, code)
        else end(reject, new Error(refused ?? 'The answer belongs to another sign-in'))
      }
      const timer = setTimeout(end, 10_000, reject, new Error('The tenant did not answer'))
      addEventListener('message', listen)
      frame.src = url
      document.body.append(frame)
    })
  }

  return {
    exchange,

    // signIn returns tokens for a web message. For a redirect the page is left.
    async signIn({ email, password, nonce, state, webMessage }) {
      const { tkn } = await post('/identity/v1/password/login', { scope, email, password })
      const verifier = randomText()
      sessionStorage.setItem('verifier', verifier)
      const query = new URLSearchParams({
        client_id: clientId, response_type: 'code', redirect_uri: redirectUri, scope, nonce, state, tkn,
        code_challenge: await challengeOf(verifier), code_challenge_method: 'S256',
        ...(webMessage ? { response_mode: 'web_message', prompt: 'none' } : { display: 'page' }),
      })
      const url = `${tenant}/oauth/authorize?${query}`
      if (webMessage) return exchange(await framed(url, state))
      location.assign(url)
      return new Promise(() => {}) // the browser leaves the page
    },

    async signOut({ refreshToken, accessToken }) {
      await Promise.all([refreshToken, accessToken].map((token) => post('/oauth/revoke', { token })))
      location.assign(`${tenant}/identity/v1/logout?${new URLSearchParams({ redirect_to: redirectUri })}`)
    },
  }
}
