// A headless Chromium that takes its steps from stdin and answers each on stdout, a line of JSON each.
//
//   browse.mjs CHROMIUM
//
// A step is [NAME, ...ARGUMENTS]; `STEPS` has them. Its answer is {"value"}, or {"error"}.
// The first line of stdout is {"value": "ready"}.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// No page leaves this machine: another host is not even looked up.
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];
const LIMIT_MS = 20000;

const browser = await chromium.launch({ executablePath: process.argv[2], args: FLAGS });
let context, page, errors;

async function begin() {
  await context?.close();
  context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(LIMIT_MS);
  errors = [];
  page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${error}`));
}

const STEPS = {
  begin, // a browser that has been nowhere
  goto: async (url) => (await page.goto(url))?.status() ?? null,
  fill: (selector, text) => page.fill(selector, text),
  click: (selector) => page.click(selector),
  select: (selector, value) => page.selectOption(selector, value),
  text: async (selector) => page.locator(selector).first().innerText(),
  see: async (selector, text) => {
    await page.locator(selector).filter({ hasText: text }).first().waitFor();
  },
  arrive: (pattern) => page.waitForURL(new RegExp(pattern)),
  url: async () => page.url(),
  run: (script) => page.evaluate(script),
  cookies: () => context.cookies(),
  errors: async () => errors,
  picture: (path) => page.screenshot({ path, fullPage: true }),
};

const say = (answer) => console.log(JSON.stringify(answer));
await begin();
say({ value: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...words] = JSON.parse(line);
  try {
    say({ value: (await STEPS[name](...words)) ?? null });
  } catch (error) {
    say({ error: `${error.message}\nat ${page.url()}` });
  }
}
await browser.close();
