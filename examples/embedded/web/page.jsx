import { useCallback, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import '@embedreach/components/styles.css'
import { Reach } from './reach.jsx'
import { finishSignIn, signIn } from './signin.js'

const theme = {
  styles: { primary: '262 48% 38%', ring: '262 48% 38%', 'font-body': 'system-ui, sans-serif', 'font-heading': 'system-ui, sans-serif' },
}

// The page only shows this; the backend decides who the user is.
function payload(idToken) {
  const part = idToken.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))))
}

function SignInForm({ config, notice }) {
  const [problem, setProblem] = useState(notice)
  const [busy, setBusy] = useState(false)
  const submit = async (event) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    setProblem('')
    try {
      await signIn(config, form.get('email'), form.get('password'))
    } catch (failure) {
      setProblem(failure.message)
      setBusy(false)
    }
  }
  return (
    <main className="card">
      <h1>Sign in</h1>
      <p className="quiet">to run your campaigns with Acme Pets</p>
      <form onSubmit={submit}>
        <label>E-mail<input name="email" type="email" autoComplete="username" required autoFocus /></label>
        <label>Password<input name="password" type="password" autoComplete="current-password" required /></label>
        <button disabled={busy}>{busy ? 'Signing in…' : 'Sign in'}</button>
      </form>
      <p role="alert" className="problem">{problem}</p>
    </main>
  )
}

function Workspace({ idToken, onSignedOut }) {
  const [problem, setProblem] = useState(null)
  const [attempt, setAttempt] = useState(0)
  const user = payload(idToken)
  const signOut = useCallback(() => onSignedOut('You have been signed out. Please sign in again.'), [onSignedOut])
  return (
    <>
      <header className="bar">
        <span className="brand">Acme Pets</span>
        <nav><span>Appointments</span><span>Customers</span><span aria-current="page">Campaigns</span></nav>
        <span className="who">{user.name ?? user.email}</span>
        <button className="plain" onClick={() => onSignedOut('')}>Sign out</button>
      </header>
      <main className="work">
        <h1>Campaigns</h1>
        {problem
          ? <div className="card"><p role="alert" className="problem">{problem.message}</p>
              <button onClick={() => { setProblem(null); setAttempt(attempt + 1) }}>Try again</button></div>
          : <Reach key={attempt} idToken={idToken} automationId="welcome" theme={theme} onSignedOut={signOut} onError={setProblem} />}
      </main>
    </>
  )
}

function App({ config, startToken, startNotice }) {
  const [{ idToken, notice }, setState] = useState({ idToken: startToken, notice: startNotice })
  const onSignedOut = useCallback((why) => setState({ idToken: undefined, notice: why }), [])
  useEffect(() => { document.title = idToken ? 'Campaigns · Acme Pets' : 'Sign in · Acme Pets' }, [idToken])
  return idToken
    ? <Workspace idToken={idToken} onSignedOut={onSignedOut} />
    : <SignInForm config={config} notice={notice} />
}

const config = await (await fetch('/config.json')).json()
let startToken
let startNotice = ''
try {
  startToken = await finishSignIn(config)
} catch (failure) {
  startNotice = failure.message
}
createRoot(document.getElementById('app')).render(<App config={config} startToken={startToken} startNotice={startNotice} />)
