// ioredis, as an application would use it: ioredis.mjs MODE PROTOCOL PORT (MODE plain or cluster; PROTOCOL default).
import assert from "node:assert/strict";
import { Cluster, Redis } from "ioredis";

const [mode, protocol, port] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const client = mode === "cluster" ? new Cluster([{ host: "127.0.0.1", port }]) : new Redis(port, "127.0.0.1");
client.on("error", (error) => {
  console.log(`client error: ${error.stack}`);
  process.exit(1);
});
const prefix = `io:${mode}:${protocol}`;
const key = (name) => `${prefix}:${name}`;

assert.equal(await client.set(key("a"), "1"), "OK");
assert.equal(await client.get(key("a")), "1");
assert.equal(await client.get(key("none")), null);
assert.equal(await client.set(key("a"), "2", "NX"), null);
assert.equal(await client.set(key("b"), "x", "EX", 100), "OK");
const ttl = await client.ttl(key("b"));
assert.ok(ttl > 90 && ttl <= 100, `TTL ${ttl}`);
await client.del(key("n"));
assert.equal(await client.incrby(key("n"), 41), 41);
assert.equal(await client.incr(key("n")), 42);
assert.equal(await client.append(key("b"), "yz"), 3);
const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
await client.set(key("bin"), binary);
assert.deepEqual(await client.getBuffer(key("bin")), binary);
await assert.rejects(client.incr(key("b")), /ERR value is not an integer or out of range/);

// Commands that are sent at once are pipelined by themselves.
await Promise.all(Array.from({ length: 500 }, (_, i) => client.set(key(`p:${i}`), String(i))));
const values = await Promise.all(Array.from({ length: 500 }, (_, i) => client.get(key(`p:${i}`))));
assert.deepEqual(values, Array.from({ length: 500 }, (_, i) => String(i)));

const scan = async (node) => {
  const found = [];
  for await (const keys of node.scanStream({ match: key("p:*"), count: 50 })) found.push(...keys);
  return found;
};
const found = mode === "cluster" ? (await Promise.all(client.nodes("master").map(scan))).flat() : await scan(client);
assert.equal(new Set(found).size, 500);

const tag = `{${prefix}}`;
const pipeline = await client.pipeline().set(`${tag}x`, "1").incr(`${tag}x`).get(`${tag}x`).exec();
assert.deepEqual(pipeline, [[null, "OK"], [null, 2], [null, "2"]]);
const transaction = await client.multi().set(`${tag}x`, "5").incr(`${tag}x`).get(`${tag}x`).exec();
assert.deepEqual(transaction, [[null, "OK"], [null, 6], [null, "6"]]);
assert.equal(await client.mset(`${tag}1`, "a", `${tag}2`, "b"), "OK");
assert.deepEqual(await client.mget(`${tag}1`, `${tag}2`, `${tag}3`), ["a", "b", null]);

if (mode === "plain") {
  const keys = Array.from({ length: 100 }, (_, i) => key(`m:${i}`));
  assert.equal(await client.mset(keys.flatMap((name, i) => [name, String(i)])), "OK");
  assert.deepEqual(await client.mget(keys), keys.map((_, i) => String(i)));
  assert.equal(await client.unlink(keys), 100);
  const other = client.duplicate();
  await client.watch(`${tag}x`);
  await other.set(`${tag}x`, "changed");
  assert.equal(await client.multi().set(`${tag}x`, "lost").exec(), null);
  assert.equal(await client.get(`${tag}x`), "changed");
  await other.quit();
  assert.match(await client.info("server"), /redis_mode:(standalone|cluster)/);
}
await client.quit();
console.log("OK");
