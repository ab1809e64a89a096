// What every npm client does with the router; prints what it saw as one JSON object. With ASKED, it
// does with a direct view, or with one that searches, what client_fastmcp.py does.
// Usage: [TOKEN=...] [ASKED=JSON] node CLIENT.mjs http|sse URL, or node CLIENT.mjs stdio COMMAND ARGUMENT...

export const [, , transport, address, ...args] = process.argv;

const { ASKED, TOKEN } = process.env;
export const headers = TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {};

export const textOf = (result) => result.content[0].text;

export function play(client, callTool) {
  if (!ASKED) return playRouter(client, callTool);
  const asked = JSON.parse(ASKED);
  return (asked.query ? playSearch : playDirect)(client, callTool, asked);
}

// The same as search_plan.py.
async function playSearch(client, callTool, asked) {
  const call = async (name, args) => textOf(await callTool({ name, arguments: args }));
  const saw = { tools: (await client.listTools()).tools.map((tool) => tool.name) };
  saw.found = JSON.parse(await call(asked.search, { query: asked.query }));
  const { name } = saw.found.tools[0];
  saw.called = await call(asked.call_tool, { name, arguments: asked.arguments });
  if (asked.directly) saw.called_directly = await call(name, asked.arguments);
  await client.close();
  return saw;
}

async function playDirect(client, callTool, asked) {
  const text = { text: asked.text };
  const saw = { tools: (await client.listTools()).tools.map((tool) => tool.name) };
  saw.echo = textOf(await callTool({ name: asked.echo, arguments: text }));
  saw.count = (await callTool({ name: asked.count, arguments: text })).structuredContent;
  saw.resource = (await client.readResource({ uri: asked.resource })).contents[0].text;
  const prompt = await client.getPrompt({ name: asked.prompt, arguments: text });
  saw.prompt = prompt.messages[0].content.text;
  saw.prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
  saw.resources = (await client.listResources()).resources.map((resource) => resource.uri);
  await client.close();
  return saw;
}

async function playRouter(client, callTool) {
  const notified = {};
  const waiting = {};
  client.fallbackNotificationHandler = async ({ method }) => {
    notified[method] = (notified[method] ?? 0) + 1;
    waiting[method]?.();
  };
  const told = (method) =>
    notified[method] ? Promise.resolve() : new Promise((resolve) => (waiting[method] = resolve));
  const call = (tool_name, args = {}, options = {}) =>
    callTool(
      {
        name: "mcp.router.call",
        arguments: { instance_name: "plain", tool_name, arguments: args },
      },
      options,
    );
  const own = async (name, args = {}) =>
    JSON.parse(textOf(await callTool({ name: `mcp.router.${name}`, arguments: args })));
  const names = async () => (await client.listTools()).tools.map((tool) => tool.name);

  const saw = { server: client.getServerVersion().name, tools: await names() };
  saw.echo = textOf(await call("echo", { text: "za\u017c\u00f3\u0142\u0107" }));
  saw.list = (await own("list")).map((row) => [row.name, row.state]);
  saw.help = (await own("help")).plain.tools.map((tool) => tool.name);
  const used = await own("use", { instance_name: "plain" });
  saw.used = used.tools;
  saw.direct = used.direct?.map((tool) => tool.name);
  // Without a session nothing is remembered, so nothing changes either.
  if (!used.direct) await told("notifications/tools/list_changed");
  saw.tools_after_use = await names();
  const echo = used.direct ? used.direct[0].name : "echo";
  saw.own_name = textOf(await callTool({ name: echo, arguments: { text: "mine" } }));
  saw.direct_name = textOf(await callTool({ name: "plain__echo", arguments: { text: "direct" } }));
  saw.image = (await call("image")).content[1];
  saw.structured = (await call("structured")).structuredContent;
  saw.failed = await call("fail");
  saw.unknown = await own("use", { instance_name: "nobody" });
  saw.progress = await progressOf(client, (onprogress) => call("steps", { count: 3 }, { onprogress }));
  saw.cancelled = await cancel(call, `${transport}-${process.pid}`);
  await client.close();
  return saw;
}

// What comes in on the wire: when an answer is in the same chunk as progress before it, these SDKs
// take the answer first and drop the progress.
async function progressOf(client, makeCall) {
  const wire = client.transport;
  const take = wire.onmessage;
  const came = [];
  wire.onmessage = (message, extra) => {
    if (message.method === "notifications/progress") came.push(message.params.progress);
    if ("result" in message) came.push("answer");
    take(message, extra);
  };
  await makeCall(() => {});
  wire.onmessage = take;
  return came;
}

async function cancel(call, label) {
  const controller = new AbortController();
  const options = { signal: controller.signal, onprogress: () => controller.abort("enough") };
  const outcome = await call("hang", { label }, options).then(
    () => "answered",
    () => "rejected",
  );
  return [outcome, textOf(await call("await_cancelled", { label }))];
}

export function show(saw) {
  process.stdout.write(JSON.stringify(saw), () => process.exit(0));
}
