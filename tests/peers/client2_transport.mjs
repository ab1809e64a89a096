// The transport of a client of @modelcontextprotocol/client 2.x, as its command line says it.
import { SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { address, args, headers, transport } from "./scenario.mjs";

export const wire = {
  http: () => new StreamableHTTPClientTransport(new URL(address), { requestInit: { headers } }),
  sse: () => new SSEClientTransport(new URL(address), { requestInit: { headers } }),
  stdio: () => new StdioClientTransport({ command: address, args }),
}[transport]();
