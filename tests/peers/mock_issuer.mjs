// An issuer that signs whatever it is asked to: npm `oauth2-mock-server`.
//
//   mock_issuer.mjs PORT      port 0: any free one
//
// It says on stdout where it listens. POST /token with `grant_type=client_credentials` and `claims`,
// a JSON object that replaces claims of the token; a null takes a claim away. `header` does the same
// for the token's header. POST /new-key adds a key, with which all later tokens are signed.
import { Events, OAuth2Server } from "oauth2-mock-server";

const server = new OAuth2Server();
let number = 0;
const newKey = () => server.issuer.keys.generate("ES256", { kid: `key-${(number += 1)}` });
await newKey();

const replace = (target, text) => {
  for (const [name, value] of Object.entries(JSON.parse(text ?? "{}"))) {
    if (value === null) delete target[name];
    else target[name] = value;
  }
};
server.service.on(Events.BeforeTokenSigning, (token, request) => {
  replace(token.payload, request.body.claims);
  replace(token.header, request.body.header);
});
server.service.addRoute("POST", "/new-key", async (_, response) => {
  response.end((await newKey()).kid);
});
await server.start(Number(process.argv[2]), "127.0.0.1");
server.issuer.url = `http://127.0.0.1:${server.address().port}`;
console.log(`Listening on ${server.issuer.url}`);
