// An OpenID provider that nobody here wrote, over https on loopback: npm
// oidc-provider with one client for RS256 and one for HS256. Its sign-in page
// signs the one account in without a question, so that a test without a browser
// can walk through the authorization-code flow.
//
// Environment: TLS_CERT and TLS_KEY, the certificate and its key in PEM.
// Prints one line of JSON when it listens: issuer, control, clients, redirectURI.
// Ends when its standard input does, and so with the test that started it.
//
// POST {control}/keys with {"kids": ["a", "b"]} replaces the provider's key set;
// the first key signs. A kid that was named before keeps its key.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

import { Provider } from 'oidc-provider';

const redirectURI = 'https://app.example.com/callback';
const clients = {
  RS256: { id: 'client-rs256' },
  HS256: { id: 'client-hs256', secret: randomBytes(32).toString('base64url') },
};

const profile = {
  sub: 'c2a1e6b0-5f0d-4f4e-9f0a-6d2b8a7c1e55',
  email: 'john.doe@example.com',
  email_verified: true,
  name: 'John Doe',
  given_name: 'John',
  family_name: 'Doe',
  birthdate: '1983-11-13',
  locale: 'en_US',
  phone_number: '+33612345678',
  phone_number_verified: false,
};

const made = new Map(); // kid -> private JWK

function keySet(kids) {
  return kids.map((kid) => {
    if (!made.has(kid)) {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      made.set(kid, { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig' });
    }
    return made.get(kid);
  });
}

// newProvider makes an instance with exactly these keys. oidc-provider reads its
// keys once, so other keys mean another instance behind the same address.
function newProvider(issuer, kids) {
  return new Provider(issuer, {
    jwks: { keys: keySet(kids) },
    clients: [
      {
        client_id: clients.RS256.id,
        token_endpoint_auth_method: 'none',
        id_token_signed_response_alg: 'RS256',
        redirect_uris: [redirectURI],
        require_auth_time: true,
      },
      {
        client_id: clients.HS256.id,
        client_secret: clients.HS256.secret,
        token_endpoint_auth_method: 'client_secret_post',
        id_token_signed_response_alg: 'HS256',
        redirect_uris: [redirectURI],
        require_auth_time: true,
      },
    ],
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'HS256'] },
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      phone: ['phone_number', 'phone_number_verified'],
      profile: ['name', 'given_name', 'family_name', 'birthdate', 'locale'],
    },
    // ReachFive puts what the scopes ask for into the ID token itself.
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ ...profile, sub: id }) }),
    interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
    pkce: { required: () => true },
    ttl: {
      AccessToken: 3600, AuthorizationCode: 60, Grant: 86400, IdToken: 86400, Interaction: 600, Session: 86400,
    },
  });
}

// signIn answers each prompt of the provider with what it asks for.
async function signIn(provider, req, res) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
  const result = {};
  if (prompt.name === 'login') {
    result.login = { accountId: profile.sub };
  } else {
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result.consent = { grantId: await grant.save() };
  }
  await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
}

async function listen(server) {
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return server.address().port;
}

let current;

const server = https.createServer(
  { cert: process.env.TLS_CERT, key: process.env.TLS_KEY },
  (req, res) => {
    const { provider, handler } = current;
    if (req.method === 'GET' && req.url.startsWith('/sign-in/')) {
      signIn(provider, req, res).catch((err) => {
        console.error(err);
        res.writeHead(500).end();
      });
      return;
    }
    handler(req, res);
  },
);

const issuer = `https://127.0.0.1:${await listen(server)}`;

function replaceKeys(kids) {
  const provider = newProvider(issuer, kids);
  provider.on('server_error', (_, err) => console.error(err));
  current = { provider, handler: provider.callback() };
}
replaceKeys(['first']);

const control = http.createServer(async (req, res) => {
  try {
    let body = '';
    for await (const chunk of req) body += chunk;
    if (req.method !== 'POST' || req.url !== '/keys') {
      res.writeHead(404).end();
      return;
    }
    replaceKeys(JSON.parse(body).kids);
    res.writeHead(204).end();
  } catch (err) {
    console.error(err);
    res.writeHead(400).end();
  }
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

console.log(JSON.stringify({
  issuer, control: `http://127.0.0.1:${await listen(control)}`, clients, redirectURI,
}));
