// Tasks of 2026-07-28 with @modelcontextprotocol/ext-tasks; prints what it saw as JSON.
// Usage: GREET=... WAIT=... [TOKEN=...] node tasks2.mjs URL
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  createTaskSessionFromClient,
  resultFromTaskOutcome,
} from "@modelcontextprotocol/ext-tasks/client";

const url = process.argv[2];
const { GREET, WAIT, TOKEN } = process.env;
const authorization = TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {};
const clientInfo = { name: "tasks2", version: "1" };
const clientCapabilities = {
  elicitation: { form: {} },
  extensions: { "io.modelcontextprotocol/tasks": {} },
};
const protocolVersion = "2026-07-28";

// The SDK's client knows no tasks: requests about them are sent beside it.
let lastId = 0;
async function rawDispatch(request, options) {
  const name = request.params.name ?? request.params.taskId;
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": protocolVersion,
      "Mcp-Method": request.method,
      "Mcp-Name": name,
      ...authorization,
      ...options?.context?.headers,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: `raw-${++lastId}`, ...request }),
    signal: options?.signal,
  });
  const { result, error } = await response.json();
  return error ? { kind: "error", error } : { kind: "result", result };
}

const client = new Client(clientInfo, {
  capabilities: clientCapabilities,
  versionNegotiation: { mode: "auto" },
});
await client.connect(
  new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: authorization } }),
);
const saw = { era: client.getProtocolEra(), declared: client.getServerCapabilities().extensions };
const asked = [];
const session = createTaskSessionFromClient(client, {
  endpointId: "router",
  rawDispatch,
  v2RequestFraming: { protocolVersion, clientInfo, clientCapabilities },
  onInputRequest: async (request, context) => {
    asked.push([request.kind, context.taskId]);
    return { action: "accept", content: { name: "Ann" } };
  },
});

const greeting = await session.callTool(GREET);
saw.kind = greeting.kind;
saw.taskId = greeting.handle.taskId;
const { outcome } = await greeting.settle();
saw.content = resultFromTaskOutcome(outcome).content;
saw.asked = asked;

const waiting = await session.callTool(WAIT);
await session.cancelTask(waiting.handle.taskId);
saw.cancelled = (await session.task(waiting.handle.taskId).snapshot()).status;

const refused = await rawDispatch({
  method: "tasks/get",
  params: {
    taskId: "1",
    _meta: {
      "io.modelcontextprotocol/protocolVersion": protocolVersion,
      "io.modelcontextprotocol/clientCapabilities": clientCapabilities,
    },
  },
});
saw.guessed = refused.error;
await session.close();
await client.close();
console.log(JSON.stringify(saw));
