// A browser on another origin: connect-web in headless Chromium.
//
//     web.mjs SERVER_URL PAGE_PORT
//
// The server must allow the origin http://127.0.0.1:PAGE_PORT. Exits 0 when unary calls, a server stream
// and error details all arrive in the page.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [url, port] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "switchboard-web."));
const executablePath = ["chromium", "chromium-browser", "google-chrome"]
  .map((name) => `/usr/bin/${name}`)
  .find((path) => existsSync(path));

async function main() {
  const server = await serve({
    "/": ["text/html", "<!doctype html><meta charset=utf-8><title>client</title><script type=module src=page.js></script>"],
    "/page.js": ["text/javascript", await bundle()],
    "/contract.binpb": ["application/octet-stream", contract()],
  });
  const browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  try {
    const page = await browser.newPage();
    page.on("console", (line) => console.error(`page: ${line.text()}`));
    page.on("pageerror", (error) => console.error(`page: ${error}`));
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction(() => window.ready, undefined, { timeout: 30_000 });
    await walk(page);
  } finally {
    await browser.close();
    server.close();
  }
}

async function walk(page) {
  let token;
  const question = (service, method, request) => ({ url, token, service: `switchboard.${service}`, method, request });
  const unary = (...named) => page.evaluate((asked) => window.unary(asked), question(...named));
  const answered = async (...named) => {
    const { answer, ...refusal } = await unary(...named);
    assert.ok(answer, JSON.stringify(refusal));
    return answer;
  };

  const stranger = await unary("tenant.v1.TenantService", "GetTenant");
  assert.equal(stranger.code, "Unauthenticated", JSON.stringify(stranger));
  assert.equal(stranger.details["google.rpc.ErrorInfo"].domain, "switchboard");

  const email = `web-${process.pid}-${port}@example.com`;
  const account = { email, password: "Correct-horse-9", tenantName: "Web shop" };
  ({ sessionToken: token } = await answered("tenant.v1.AuthService", "SignUp", account));
  assert.equal((await answered("tenant.v1.TenantService", "GetTenant")).name, "Web shop");

  const till = { name: "Till", webhook: { url: "https://shop.example/messages" }, webhookSecrets: {} };
  const { channel } = await answered("conversation.v1.ChannelService", "CreateChannel", till);
  const { conversations = [] } = await answered("conversation.v1.ConversationService", "ListConversations", {});
  assert.deepEqual(conversations, []);

  const subscribe = question("tenant.v1.EventService", "Subscribe", { afterSeq: "0" });
  const stream = await page.evaluate((asked) => window.stream(asked, '"channel.'), subscribe);
  assert.ok(stream.answer && !stream.ended, JSON.stringify(stream));

  const bad = await unary("conversation.v1.ConversationService", "ListConversations", { pageSize: -1 });
  assert.equal(bad.code, "InvalidArgument", JSON.stringify(bad));
  assert.deepEqual(bad.details["google.rpc.BadRequest"].fieldViolations.map((violation) => violation.field), ["page_size"]);
  console.log(`web: signed up, channel ${channel.id}, ${stream.answer.length} events streamed, details read in Chromium`);
}

function contract() {
  const path = join(scratch, "contract.binpb");
  const root = join(here, "../..");
  const buf = join(here, "node_modules/.bin/buf");
  execFileSync(process.execPath, [buf, "build", "--exclude-source-info", "-o", path], { cwd: root });
  return readFileSync(path);
}

async function bundle() {
  const built = await build({ entryPoints: [join(here, "page.js")], bundle: true, format: "esm", target: "es2022", write: false });
  return built.outputFiles[0].contents;
}

function serve(files) {
  const server = createServer((request, answer) => {
    const [type, body] = files[request.url] ?? [];
    answer.writeHead(type ? 200 : 404, type ? { "content-type": type } : {});
    answer.end(body);
  });
  return new Promise((done) => server.listen(Number(port), "127.0.0.1", () => done(server)));
}

try {
  await main();
} finally {
  rmSync(scratch, { recursive: true });
}
