// An authorization server and identity provider: npm `oidc-provider` with all that MCP asks for.
//
//   identity_provider.mjs PORT [OPTIONS]      port 0: any free one
//
// OPTIONS is a JSON object; `OPTIONS` below has its keys and defaults. It says on stdout where it
// listens, and then one line of JSON for each token request: {"grant", "client", "error"}.
// Everybody may log in under any name, with any password. The client for machines may exchange an access
// token of this provider for one for another resource (RFC 8693).
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { importJWK, jwtVerify } from "jose";
import * as oidc from "oidc-provider";

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";

const OPTIONS = {
  access_token_s: 3600,
  groups: { alice: ["ops"], bob: ["staff"] },
  scopes: ["mcp.call", "mcp.read", "mcp.admin"],
  // A public client; its loopback addresses may have any port (RFC 8252 section 7.3).
  client_id: "router",
  redirect_paths: ["/login/callback", "/oauth/callback"],
  // A client for machines, which may also introspect.
  machine: { client_id: "machine", client_secret: "machine-secret-0123456789" },
};

const [port, text] = process.argv.slice(2);
const options = { ...OPTIONS, ...JSON.parse(text ?? "{}") };
const key = (kind, settings, alg) => ({
  ...generateKeyPairSync(kind, settings).privateKey.export({ format: "jwk" }),
  use: "sig",
  alg,
  kid: `${alg}-${process.pid}`,
});
const rsa = key("rsa", { modulusLength: 2048 }, "RS256");
const ec = key("ec", { namedCurve: "P-256" }, "ES256");
const offered = options.scopes.join(" ");
const hosts = ["127.0.0.1", "localhost"];

const configuration = {
  clients: [
    {
      client_id: options.client_id,
      client_name: "MCP Router",
      application_type: "native",
      token_endpoint_auth_method: "none",
      grant_types: [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
      ],
      redirect_uris: hosts.flatMap((host) =>
        options.redirect_paths.map((path) => `http://${host}${path}`),
      ),
    },
    {
      ...options.machine,
      grant_types: ["client_credentials", EXCHANGE],
      response_types: [],
      redirect_uris: [],
    },
  ],
  claims: { openid: ["sub", "groups"] },
  conformIdTokenClaims: false,
  scopes: ["openid", "offline_access", ...options.scopes],
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: offered,
        audience: resource,
        accessTokenTTL: options.access_token_s,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
  pkce: { required: () => true },
  jwks: { keys: [rsa, ec] },
  cookies: { keys: ["only-for-tests"] },
  ttl: { AccessToken: options.access_token_s, Interaction: 600, Session: 3600, Grant: 3600, IdToken: 3600 },
  rotateRefreshToken: true,
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  expiresWithSession: () => false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, groups: options.groups[id] ?? [] }),
  }),
  extraTokenClaims: (_, token) => ({ groups: options.groups[token.accountId] ?? [] }),
  clientBasedCORS: () => false,
};

const exchange = (provider) => async (context) => {
  const { client, params } = context.oidc;
  const { d: _, ...publicKey } = ec;
  const verified = await jwtVerify(params.subject_token, await importJWK(publicKey, "ES256"), {
    issuer: provider.issuer,
  }).catch((error) => {
    throw new oidc.errors.InvalidGrant(error.message);
  });
  const { resourceIndicators } = configuration.features;
  const server = resourceIndicators.getResourceServerInfo(context, params.resource);
  const token = new provider.AccessToken({ accountId: verified.payload.sub, client, scope: params.scope });
  token.resourceServer = new provider.ResourceServer(params.resource, server);
  context.body = {
    access_token: await token.save(),
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
    token_type: "Bearer",
    expires_in: options.access_token_s,
    scope: params.scope,
  };
};

let handle;
const server = createServer((request, response) => handle(request, response));
server.listen(Number(port), "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new oidc.Provider(issuer, configuration);
  const say = (error) => (context) =>
    console.log(
      JSON.stringify({
        grant: context.oidc.params?.grant_type,
        client: context.oidc.client?.clientId,
        error: error?.message ?? null,
      }),
    );
  provider.on("grant.success", say());
  provider.on("grant.error", (context, error) => say(error)(context));
  provider.on("server_error", (_, error) => console.error(error));
  const asked = ["subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope"];
  provider.registerGrantType(EXCHANGE, exchange(provider), asked);
  handle = provider.callback();
  console.log(`Listening on ${issuer}`);
});
