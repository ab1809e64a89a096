// The client of @modelcontextprotocol/client 2.x; see scenario.mjs. ERA is what its
// `versionNegotiation` calls a mode: "legacy", "auto" (the default), or a revision to insist on.
import { Client } from "@modelcontextprotocol/client";
import { play, show } from "./scenario.mjs";
import { wire } from "./client2_transport.mjs";

const asked = process.env.ERA ?? "auto";
const mode = ["legacy", "auto"].includes(asked) ? asked : { pin: asked };
const client = new Client({ name: "client2", version: "1" }, { versionNegotiation: { mode } });
await client.connect(wire);
const era = client.getProtocolEra();
const revision = client.getNegotiatedProtocolVersion();
const listening = era === "modern" ? await client.listen({ toolsListChanged: true }) : undefined;
const saw = await play(client, (params, options) => client.callTool(params, options));
show({ ...saw, era, revision, honoured: listening?.honoredFilter });
