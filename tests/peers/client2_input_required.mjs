// The client of @modelcontextprotocol/client 2.x at 2026-07-28, which answers what it is asked.
// Usage: [TOKEN=...] node client2_input_required.mjs http URL, or node client2_input_required.mjs stdio COMMAND ARGUMENT...
import { Client } from "@modelcontextprotocol/client";
import { show, textOf } from "./scenario.mjs";
import { wire } from "./client2_transport.mjs";

const client = new Client(
  { name: "client2", version: "1" },
  {
    capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
    versionNegotiation: { mode: "auto" },
  },
);
client.setRequestHandler("elicitation/create", async ({ params }) =>
  params.mode === "url"
    ? { action: "accept" }
    : { action: "accept", content: { name: "Ada" } },
);
client.setRequestHandler("sampling/createMessage", async ({ params }) => ({
  role: "assistant",
  content: { type: "text", text: params.messages[0].content.text.toUpperCase() },
  model: "shouting",
}));
client.setRequestHandler("roots/list", async () => ({
  roots: [{ uri: "file:///work", name: "work" }],
}));

await client.connect(wire);
const call = async (tool_name, args = {}) =>
  textOf(
    await client.callTool({
      name: "mcp.router.call",
      arguments: { instance_name: "asking", tool_name, arguments: args },
    }),
  );
const saw = { era: client.getProtocolEra() };
for (const tool of ["form", "url", "sample", "roots", "twice", "both"]) {
  saw[tool] = await call(tool);
}
saw.url_required = await call("needs_url", { label: `npm-${process.pid}` });
await client.close();
show(saw);
