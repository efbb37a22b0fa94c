import { useCallback, useEffect, useState } from 'react'
import { ReachProvider, ViewAutomationModal } from '@embedreach/components'

async function fetchReachToken(idToken) {
  const response = await fetch('/reach-authtoken', { headers: { Authorization: `Bearer ${idToken}` } })
  const answer = await response.json()
  if (!response.ok) {
    // The middleware before the bridge sends error_description, the bridge error.
    const failure = new Error(answer.error_description ?? answer.error)
    failure.status = response.status
    throw failure
  }
  return answer.token
}

// Reach shows the embedded UI for the user of idToken. ReachProvider 0.1.104
// reads authToken on its first render only, and ignores what onReauthRequested
// returns. Each token therefore gets a new key, so that React mounts a new
// provider. The component is ViewAutomationModal because it brings a router; in
// that version Engage needs one that only the vendor's bundle could provide.
export function Reach({ idToken, automationId, theme, onSignedOut, onError }) {
  const [grant, setGrant] = useState({ token: null, count: 0 })

  const renew = useCallback(async () => {
    try {
      const token = await fetchReachToken(idToken)
      setGrant(({ count }) => ({ token, count: count + 1 }))
      return token
    } catch (failure) {
      // 401 means that the ID token is no longer good. Any other status says
      // nothing about the user, who stays signed in.
      failure.status === 401 ? onSignedOut() : onError(failure)
    }
  }, [idToken, onSignedOut, onError])

  useEffect(() => { renew() }, [renew])

  if (!grant.token) return <p className="quiet">Opening…</p>
  return (
    <ReachProvider key={grant.count} authToken={grant.token} theme={theme} callbacks={{ onReauthRequested: renew }}>
      <ViewAutomationModal automationId={automationId} />
    </ReachProvider>
  )
}
