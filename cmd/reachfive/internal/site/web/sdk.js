// The same steps with ReachFive's SDK, which the page loads unmodified.

const scope = 'openid profile email'

const readable = (error) => { throw new Error(error.errorUserMsg ?? error.errorDescription ?? error.message ?? error.error) }

export async function sdkClient({ tenant, domain, clientId, redirectUri }) {
  // The SDK needs https, and the tenant's certificate is made by this command: this
  // call fails if the browser does not trust it.
  await fetch(`${tenant}/identity/v1/config?client_id=${clientId}`)
  const client = globalThis.reach5.createClient({ domain, clientId })
  return {
    exchange: (code) => client.exchangeAuthorizationCodeWithPkce({ code, redirectUri }).catch(readable),

    async signIn({ email, password, nonce, state, webMessage }) {
      const tokens = await client.loginWithPassword({
        email, password, auth: { redirectUri, scope, nonce, state, useWebMessage: webMessage },
      }).catch(readable)
      return tokens ?? new Promise(() => {}) // the browser leaves the page
    },

    signOut: ({ refreshToken, accessToken }) =>
      client.logout({ redirectTo: redirectUri }, { tokens: [refreshToken, accessToken] }).catch(readable),
  }
}
