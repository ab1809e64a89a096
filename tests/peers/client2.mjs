// The client of @modelcontextprotocol/client 2.x, which asks for 2026-07-28 first; see scenario.mjs.
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { address, args, play, show, transport } from "./scenario.mjs";

const wire = {
  http: () => new StreamableHTTPClientTransport(new URL(address)),
  sse: () => new SSEClientTransport(new URL(address)),
  stdio: () => new StdioClientTransport({ command: address, args }),
}[transport]();
const client = new Client(
  { name: "client2", version: "1" },
  { versionNegotiation: { mode: "auto" } },
);
await client.connect(wire);
const era = client.getProtocolEra();
const saw = await play(client, (params, options) => client.callTool(params, options));
show({ ...saw, era });
