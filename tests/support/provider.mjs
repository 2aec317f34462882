// A real OpenID provider, the npm package oidc-provider, on a port of this machine; prints its address.
// Its one argument is JSON: package (the package's module), port (0 for any), keys (JWKs), forbidden (scopes that nobody
// is given), claims (for each person, more claims of their access tokens).
import { createServer } from "node:http";

const { package: module, port, keys, forbidden, claims } = JSON.parse(process.argv[2]);
const { default: Provider } = await import(module);
const listener = createServer();
await new Promise((listening) => listener.listen(port, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${listener.address().port}`;

const provider = new Provider(issuer, {
  jwks: { keys },
  scopes: ["openid", "offline_access", "kie:read", "kie:spend"],
  pkce: { required: () => true },
  // Whoever has a name may log in; the page for that is the package's own.
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (_, token) => claims[token.accountId],
  // Whoever logs in has allowed all but what is forbidden.
  async loadExistingGrant({ oidc: { client, session, params } }) {
    if (!session.accountId) return undefined;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    const scopes = (params.scope ?? "").split(" ");
    grant.addOIDCScope(scopes.join(" "));
    for (const resource of [params.resource ?? []].flat()) {
      grant.addResourceScope(resource, scopes.filter((each) => !forbidden.includes(each)).join(" "));
      if (forbidden.length) grant.rejectResourceScope(resource, forbidden.join(" "));
    }
    await grant.save();
    return grant;
  },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Clients whose name says so get tokens that are not signed.
      getResourceServerInfo: (_, resource, client) => ({
        scope: "kie:read kie:spend",
        audience: resource,
        accessTokenFormat: client.clientName === "opaque" ? "opaque" : "jwt",
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});
provider.on("server_error", (_, error) => console.error(error));
listener.on("request", provider.callback());
console.log(issuer);
