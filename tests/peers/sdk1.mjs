// The client of @modelcontextprotocol/sdk 1.x; see scenario.mjs.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { address, args, play, show, transport } from "./scenario.mjs";

const wire = {
  http: () => new StreamableHTTPClientTransport(new URL(address)),
  sse: () => new SSEClientTransport(new URL(address)),
  stdio: () => new StdioClientTransport({ command: address, args }),
}[transport]();
const client = new Client({ name: "sdk1", version: "1" });
await client.connect(wire);
show(await play(client, (params, options) => client.callTool(params, undefined, options)));
