// A real OpenID provider for the end-to-end tests: prints its address, and serves until its standard input ends.
//
// Beside what `oidc-provider` serves there is one page for the tests: POST /control/rotate makes fresh signing keys and
// signs with them from then on. The keys before stay published, unless it is asked with ?forget.
import { generateKeyPair, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';

import Provider from 'oidc-provider';

const generate = promisify(generateKeyPair);

async function signingKeys() {
  const [rsa, ec] = await Promise.all([
    generate('rsa', { modulusLength: 2048 }),
    generate('ec', { namedCurve: 'P-256' }),
  ]);
  const jwk = (pair, alg) => ({ ...pair.privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' });
  return [jwk(rsa, 'RS256'), jwk(ec, 'ES256')];
}

// What is issued for each resource that a client may ask tokens for.
const RESOURCES = {
  'urn:api:rs256': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } },
  'urn:api:es256': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } },
  'urn:api:opaque': { accessTokenFormat: 'opaque' },
};

function client(id, scope) {
  return {
    client_id: id,
    client_secret: `the secret of ${id}`,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope,
  };
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [client('alice', 'orders.read orders.write'), client('gatehouse', 'orders.read')],
    scopes: ['orders.read', 'orders.write'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: 'orders.read orders.write',
          audience: 'api',
          accessTokenTTL: 3600,
          ...RESOURCES[resource],
        }),
      },
    },
  });
}

let keys = await signingKeys();
let serve;

async function rotate(forget) {
  const fresh = await signingKeys();
  keys = forget ? fresh : [...fresh, ...keys].slice(0, 20);
  serve = provider(issuer, keys).callback();
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  if (request.method === 'POST' && url.pathname === '/control/rotate') {
    await rotate(url.searchParams.has('forget'));
    response.end('rotated');
    return;
  }
  serve(request, response);
});

await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
serve = provider(issuer, keys).callback();
console.log(issuer);

// The test holds the other end: this process does not outlive it, however the test ends.
process.stdin.resume().on('end', () => process.exit(0));
