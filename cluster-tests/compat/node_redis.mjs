// node-redis, as an application would use it: node_redis.mjs MODE PROTOCOL PORT (MODE plain or cluster; PROTOCOL default, 2 or 3).
import assert from "node:assert/strict";
import { createClient, createCluster } from "redis";

const [mode, protocol, port] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const url = `redis://127.0.0.1:${port}`;
const version = protocol === "default" ? {} : { RESP: Number(protocol) };
const client =
  mode === "cluster" ? createCluster({ rootNodes: [{ url }], ...version }) : createClient({ url, ...version });
client.on("error", (error) => {
  console.log(`client error: ${error.stack}`);
  process.exit(1);
});
await client.connect();
const prefix = `node:${mode}:${protocol}`;
const key = (name) => `${prefix}:${name}`;

assert.equal(await client.set(key("a"), "1"), "OK");
assert.equal(await client.get(key("a")), "1");
assert.equal(await client.get(key("none")), null);
assert.equal(await client.set(key("a"), "2", { condition: "NX" }), null);
assert.equal(await client.set(key("b"), "x", { expiration: { type: "EX", value: 100 } }), "OK");
const ttl = await client.ttl(key("b"));
assert.ok(ttl > 90 && ttl <= 100, `TTL ${ttl}`);
await client.del(key("n"));
assert.equal(await client.incrBy(key("n"), 41), 41);
assert.equal(await client.incr(key("n")), 42);
assert.equal(await client.append(key("b"), "yz"), 3);
await assert.rejects(client.incr(key("b")), /ERR value is not an integer or out of range/);

await Promise.all(Array.from({ length: 500 }, (_, i) => client.set(key(`p:${i}`), String(i))));
const values = await Promise.all(Array.from({ length: 500 }, (_, i) => client.get(key(`p:${i}`))));
assert.deepEqual(values, Array.from({ length: 500 }, (_, i) => String(i)));

const scan = async (node) => {
  const found = [];
  for await (const keys of node.scanIterator({ MATCH: key("p:*"), COUNT: 50 })) found.push(...[keys].flat());
  return found;
};
const nodes = mode === "cluster" ? await Promise.all(client.masters.map((node) => client.nodeClient(node))) : [client];
const found = (await Promise.all(nodes.map(scan))).flat();
assert.equal(new Set(found).size, 500);

const tag = `{${prefix}}`;
assert.deepEqual(await client.multi().set(`${tag}x`, "5").incr(`${tag}x`).get(`${tag}x`).exec(), ["OK", 6, "6"]);
await client.mSet({ [`${tag}1`]: "a", [`${tag}2`]: "b" });
assert.deepEqual(await client.mGet([`${tag}1`, `${tag}2`, `${tag}3`]), ["a", "b", null]);

if (mode === "plain") {
  const keys = Array.from({ length: 100 }, (_, i) => key(`m:${i}`));
  assert.equal(await client.mSet(keys.map((name, i) => [name, String(i)])), "OK");
  assert.deepEqual(await client.mGet(keys), keys.map((_, i) => String(i)));
  assert.equal(await client.unlink(keys), 100);
  const other = await client.duplicate().connect();
  await client.watch(`${tag}x`);
  await other.set(`${tag}x`, "changed");
  await assert.rejects(client.multi().set(`${tag}x`, "lost").exec(), /watched keys has been changed/);
  assert.equal(await client.get(`${tag}x`), "changed");
  await other.close();
  assert.match(await client.info("server"), /redis_mode:(standalone|cluster)/);
}
await client.close();
console.log("OK");
