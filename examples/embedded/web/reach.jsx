import { useCallback, useEffect, useState } from 'react'
import { ReachProvider, ViewAutomationModal } from '@embedreach/components'

async function fetchReachToken(idToken) {
  const response = await fetch('/reach-authtoken', { headers: { Authorization: `Bearer ${idToken}` } })
  const answer = await response.json()
  if (!response.ok) {
    // The bridge says error; what stands before it says error_description.
    const failure = new Error(answer.error_description ?? answer.error)
    failure.status = response.status
    throw failure
  }
  return answer.token
}

// Reach shows the embedded UI for the user of idToken. ReachProvider 0.1.104
// reads authToken on its first render only and ignores what
// onReauthRequested returns, so a new token is a new key: React throws the
// old provider away and mounts one that has the new token. (Of its components,
// Engage cannot stand alone in that version: it wants a router that only the
// bundle itself could give it. ViewAutomationModal brings one.)
export function Reach({ idToken, automationId, theme, onSignedOut, onError }) {
  const [grant, setGrant] = useState({ token: null, count: 0 })

  const renew = useCallback(async () => {
    try {
      const token = await fetchReachToken(idToken)
      setGrant(({ count }) => ({ token, count: count + 1 }))
      return token
    } catch (failure) {
      // 401: the ID token itself is over. Anything else, a 503 above all,
      // says nothing about the user, who stays signed in.
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
