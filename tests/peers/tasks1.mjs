// Tasks of 2025-11-25 with the client of @modelcontextprotocol/sdk 1.x; prints what it saw as JSON.
// Usage: TOOL=... [TOKEN=...] node tasks1.mjs http URL, or node tasks1.mjs stdio COMMAND ARGUMENT...
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  CreateTaskResultSchema,
  ElicitRequestSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

const [, , transport, address, ...args] = process.argv;
const { TOOL: name, TOKEN } = process.env;
const RELATED = "io.modelcontextprotocol/related-task";

const headers = TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {};
const wire =
  transport === "stdio"
    ? new StdioClientTransport({ command: address, args })
    : new StreamableHTTPClientTransport(new URL(address), { requestInit: { headers } });
const client = new Client(
  { name: "tasks1", version: "1" },
  { capabilities: { elicitation: { form: {} } } },
);
const saw = { asked: [] };
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
  saw.asked.push(params._meta?.[RELATED]?.taskId);
  return { action: "accept", content: { interpretation: "snake" } };
});
let changes = 0;
let seen = 0;
let wake = () => {};
client.setNotificationHandler(ToolListChangedNotificationSchema, async () => {
  changes += 1;
  wake();
});
const changed = async () => {
  if (changes === seen) await new Promise((resolve) => (wake = resolve));
  seen = changes;
};
await client.connect(wire);
const { tasks } = client.experimental;

saw.declared = client.getServerCapabilities().tasks;
// A server that is not ready yet is listed later.
const listed = async () => (await client.listTools()).tools.find((tool) => tool.name === name);
let tool;
while (!(tool = await listed())) await changed();
saw.support = tool.execution.taskSupport;

saw.statuses = [];
for await (const message of tasks.callToolStream({
  name,
  arguments: { topic: "python", ambiguous: true },
})) {
  if (message.type === "taskCreated") saw.taskId = message.task.taskId;
  if (message.type === "taskStatus") {
    if (message.task.taskId !== saw.taskId) throw new Error("the status of another task");
    if (saw.statuses.at(-1) !== message.task.status) saw.statuses.push(message.task.status);
  }
  if (message.type === "result") saw.result = message.result;
  if (message.type === "error") throw message.error;
}

const tried = async (action) => {
  try {
    return await action();
  } catch (error) {
    return error.code;
  }
};
saw.status = (await tasks.getTask(saw.taskId)).status;
saw.again = await tasks.getTaskResult(saw.taskId, CallToolResultSchema);
saw.cancelled_late = await tried(() => tasks.cancelTask(saw.taskId));
saw.of_nobody = await tried(() => tasks.getTask("786512e2-9e0d-44bd-8f29-789f320fe840"));

const created = await client.request(
  { method: "tools/call", params: { name, arguments: { topic: "cancelled" }, task: { ttl: 60000 } } },
  CreateTaskResultSchema,
);
saw.cancelled = (await tasks.cancelTask(created.task.taskId)).status;
saw.second = created.task.taskId;
saw.listed = [];
for (let cursor; ; ) {
  const page = await tasks.listTasks(cursor);
  saw.listed.push(...page.tasks.map((task) => [task.taskId, task.status]));
  cursor = page.nextCursor;
  if (!cursor) break;
}
await client.close();
console.log(JSON.stringify(saw));
