// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { argsOf, changeOf, formOf, loadedWith, newRow, optionNames, ttlAsTyped } from "../src/actions/load_options";

const form = (ttl: string, ...rows: [string, string][]) => ({ ttl, rows: rows.map(([n, v]) => newRow(n, v)) });

test("rows become the object of a request", () => {
  assert.deepEqual(argsOf(form("", ["--ctx-size", "8192"], [" -ngl ", "99"], ["", "8"]).rows), { "ctx-size": "8192", ngl: "99" });
  assert.deepEqual(argsOf(form("", ["lora", "a"], ["lora", "b"], ["lora", "c"]).rows), { lora: ["a", "b", "c"] });
  const odd = argsOf(form("", ["__proto__", "1"]).rows);
  assert.equal(JSON.stringify(odd), '{"__proto__":"1"}');
});

test("a load says what is given, and no more", () => {
  assert.deepEqual(changeOf(form(" ", ["", ""]), null), {});
  assert.deepEqual(changeOf(form("600", ["ctx-size", "8192"]), null), { args: { "ctx-size": "8192" }, ttl: 600 });
  assert.deepEqual(changeOf(form("10m"), null), { ttl: "10m" });
});

test("of a model that runs only what is changed is said", () => {
  const running = { args: { "ctx-size": "8192", jinja: true }, ttl_ms: 600_000 };
  const same = formOf(running);
  assert.deepEqual(same.rows.map((r) => [r.name, r.value]), [["ctx-size", "8192"], ["jinja", "true"]]);
  assert.deepEqual(changeOf(same, running), {});
  assert.deepEqual(changeOf({ ...same, rows: [...same.rows].reverse() }, running), {});
  assert.deepEqual(changeOf({ ...same, ttl: "0" }, running), { ttl: 0 });
  assert.deepEqual(changeOf({ ...same, rows: [] }, running), { args: {} });
  assert.deepEqual(changeOf(form("5m", ["temp", "1"]), undefined), { args: { temp: "1" }, ttl: "5m" });
  assert.deepEqual(changeOf(form("5m", ["", ""]), undefined), { ttl: "5m" });
});

test("what a load was given is told in few words", () => {
  assert.equal(loadedWith(undefined), "");
  assert.equal(loadedWith({ args: {} }), "");
  assert.equal(loadedWith({ args: { "ctx-size": "8192", jinja: false, lora: ["a", "b"], "hf-token": null, "cpu-moe": true }, ttl_ms: 0 }),
    "with ctx-size 8192, jinja off, lora a, lora b, hf-token, cpu-moe, ttl 0");
});

test("a ttl is shown as somebody would type it", () => {
  assert.deepEqual([undefined, 0, 200, 5000, 90_000, 600_000, 7_200_000, 86_400_000].map(ttlAsTyped), ["", "0", "0.2", "5s", "90s", "10m", "2h", "1d"]);
});

test("names of the router's own options are not offered", () => {
  const known = [{ option: "--no-mmproj", value: null, origin: "preset" }, { option: "--alias", value: "m", origin: "hostler" }];
  const names = optionNames(known);
  assert.ok(names.includes("no-mmproj") && names.includes("ctx-size") && !names.includes("alias"));
});
