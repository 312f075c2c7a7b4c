// A core that is away, seen from the interface: it says so, keeps what it shows, and goes on by itself.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { close, open, visit } from "./browser.mjs";

const { PROGRAMS } = process.env;
const KEY = "admin-of-the-outage-0123456789";
const folder = mkdtempSync(path.join(tmpdir(), "interface-"));
const running = new Set();

/** Starts a program; gives its process and the field `address` of its log's line with that message. */
function start(program, args, environment, message) {
  const child = spawn(path.join(PROGRAMS, program), args, {
    cwd: folder,
    env: { ADMIN_KEY: KEY, MASTER_KEY: "outage", APP_PORT: "0", GRPC_PORT: "0", METRICS_PORT: "0", LOG_FORMAT: "json", ORCHESTRATOR__RUNTIME__THREADS: "1", ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.add(child);
  return new Promise((resolve, reject) => {
    let log = "";
    child.stderr.on("data", (bytes) => {
      log += bytes;
      const line = log.split("\n").find((one) => one.includes(message));
      if (!line) return;
      const { fields, ...told } = JSON.parse(line);
      resolve({ child, address: fields?.address ?? told.address });
    });
    child.on("exit", (code) => reject(new Error(`${program} ended with ${code}: ${log.slice(-2000)}`)));
  });
}

async function kill(child) {
  running.delete(child);
  const ended = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

before(open);
after(async () => {
  await close();
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

test("a core that is down is told, and found again", async () => {
  const core = await start("orchestrator-grpc", [], {}, "Listening for gRPC");
  const edge = await start("orchestrator-edge", ["--core", `http://${core.address}`], {}, "Listening for REST");
  const window = await visit({ rest: `http://${edge.address}` });
  const { page } = window;
  await window.at("/providers", KEY);
  // A page before this one may speak of echo too.
  await window.heading("Providers");
  const listed = page.getByRole("table").getByRole("link", { name: "echo" }).first();
  await listed.waitFor();
  await kill(core.child);
  const banner = page.locator(".banner", { hasText: "The core does not answer." });
  await banner.waitFor({ timeout: 20000 });
  assert.ok(await listed.isVisible(), "what was there stays");
  const port = core.address.split(":").pop();
  const again = await start("orchestrator-grpc", [], { GRPC_PORT: port }, "Listening for gRPC");
  await banner.waitFor({ state: "detached", timeout: 20000 });
  await page.getByRole("button", { name: "Add a provider" }).click();
  await page.locator("dialog[open]").waitFor();
  await page.keyboard.press("Escape");
  await kill(edge.child);
  await page.locator(".banner", { hasText: "The gateway does not answer." }).waitFor({ timeout: 20000 });
  await kill(again.child);
  await window.end();
});
