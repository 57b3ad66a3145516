// Run with `make test`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { handler } from "./handler.mjs";

const event = JSON.parse(await readFile(new URL("event.json", import.meta.url), "utf-8"));

test("it says what the device measured", async () => {
  assert.deepEqual(await handler(event), { message: "tank-1 says 18.2" });
});

test("an event without data is an error", async () => {
  await assert.rejects(handler({}));
});
