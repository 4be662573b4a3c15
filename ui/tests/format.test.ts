// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, callerName, duration, longDuration, rate, short, shortCaller } from "../src/parts/format";

test("sizes have three digits and never a thousand of a unit", () => {
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1023), "1.00 KiB");
  assert.equal(bytes(4.32 * 2 ** 30), "4.32 GiB");
  assert.equal(bytes(999.6 * 2 ** 20), "0.98 GiB");
  assert.equal(bytes(123 * 2 ** 20), "123 MiB");
  assert.equal(bytes(undefined), "–");
});

test("counts of tokens and parameters", () => {
  assert.equal(short(512), "512");
  assert.equal(short(32768), "32k");
  assert.equal(short(1048576), "1.05M");
  assert.equal(short(134515008), "135M");
  assert.equal(short(7240000000), "7.24B");
});

test("times in the largest unit that says enough", () => {
  assert.equal(duration(840), "840 ms");
  assert.equal(duration(3210), "3.2 s");
  assert.equal(duration(59_960), "1 min 00 s");
  assert.equal(longDuration(3600 * 3 + 720), "3 h 12 min");
  assert.equal(longDuration(86400 * 2 + 3600 * 4), "2 d 4 h");
  assert.equal(ago(100, 105), "now");
  assert.equal(ago(100, 145), "40 s ago");
  assert.equal(ago(100, 500), "6 min ago");
});

test("rates", () => {
  assert.equal(rate(41.27), "41.3");
  assert.equal(rate(1234.5), "1235");
  assert.equal(rate(null), "–");
  assert.equal(rate(0), "0");
});

test("a caller is named by the key, else by the address", () => {
  assert.equal(callerName("POST /v1/chat/completions from 127.0.0.1:4711 (key alice, curl/8.0)"), "alice");
  assert.equal(callerName("POST /models/load from 127.0.0.1:4711 (curl/8.0)"), "127.0.0.1:4711");
  assert.equal(callerName("at the start"), "at the start");
  assert.equal(callerName("GET /x from 192.0.2.7 via 127.0.0.1:4711 (key bob)"), "bob");
});

test("a text with its caller in short", () => {
  const text = "unloaded by POST /models/unload-all from 127.0.0.1:5 (Mozilla/5.0 (X11; Linux) AppleWebKit (KHTML, like Gecko))";
  assert.equal(shortCaller(text), "unloaded by POST /models/unload-all from 127.0.0.1:5");
  assert.equal(shortCaller(text, false), "unloaded by 127.0.0.1:5");
  assert.equal(shortCaller("evicted for b, POST /v1/x from 10.0.0.1:7 (key alice, curl/8): idle"), "evicted for b, POST /v1/x from alice: idle");
  assert.equal(shortCaller("after 0.2 s"), "after 0.2 s");
});
