"""redis-py, as an application would use it: redis_py.py MODE PROTOCOL PORT (MODE plain or cluster, PROTOCOL default, 2 or 3)."""

import os
import sys

import redis

mode, protocol, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"host": "127.0.0.1", "port": port, "decode_responses": True}
if protocol != "default":
    options["protocol"] = int(protocol)
client = redis.RedisCluster(**options) if mode == "cluster" else redis.Redis(**options)
prefix = f"py:{mode}:{protocol}:{os.getpid()}"


def key(name):
    return f"{prefix}:{name}"


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


check("PING", client.ping(), True)
check("SET", client.set(key("a"), "1"), True)
check("GET", client.get(key("a")), "1")
check("GET of nothing", client.get(key("none")), None)
check("SET NX", client.set(key("a"), "2", nx=True), None)
check("SET GET", client.set(key("a"), "2", get=True), "1")
check("SET EX", client.set(key("b"), "x", ex=100), True)
check("TTL", 90 < client.ttl(key("b")) <= 100, True)
client.delete(key("n"))
check("INCRBY", client.incrby(key("n"), 41) + client.incr(key("n")), 41 + 42)
check("APPEND", client.append(key("b"), "yz"), 3)
check("binary", client.set(key("bin"), bytes(range(256))), True)
check("STRLEN", client.strlen(key("bin")), 256)
check("DEL", client.delete(key("bin")), 1)
check("EXPIRE", client.expire(key("a"), 1000), True)
check("PERSIST", client.persist(key("a")), True)
check("TYPE", client.type(key("a")), "string")
check("OBJECT ENCODING", client.object("encoding", key("n")), "int")

try:
    client.incr(key("b"))
    sys.exit("INCR of a text: no error")
except redis.ResponseError as error:
    check("error text", str(error), "value is not an integer or out of range")

# A pipeline over many slots.
pipeline = client.pipeline(transaction=False)
for i in range(500):
    pipeline.set(key(f"p:{i}"), str(i))
check("pipeline of SET", pipeline.execute(), [True] * 500)
for i in range(500):
    pipeline.get(key(f"p:{i}"))
check("pipeline of GET", pipeline.execute(), [str(i) for i in range(500)])

# SCAN visits all of them.
found = set(client.scan_iter(match=key("p:*"), count=50))
check("SCAN", found, {key(f"p:{i}") for i in range(500)})

# Several keys: across slots on a plain connection, by the client's own splitting in cluster mode.
pairs = {key(f"m:{i}"): str(i) for i in range(100)}
if mode == "plain":
    check("MSET", client.mset(pairs), True)
    check("MGET", client.mget(list(pairs)), list(pairs.values()))
    check("EXISTS", client.exists(*pairs), 100)
    check("UNLINK", client.unlink(*pairs), 100)
    check("DBSIZE", client.dbsize() >= 500, True)
else:
    check("MSET", client.mset_nonatomic(pairs), [True] * len({client.keyslot(k) for k in pairs}))
    check("MGET", client.mget_nonatomic(list(pairs)), list(pairs.values()))
    check("EXISTS", client.exists(*pairs), 100)
    check("UNLINK", client.unlink(*pairs), 100)
    check("nodes", len(client.get_primaries()) >= 1, True)

# Transactions within one slot, and WATCH.
tag = "{" + prefix + "}"
replies = None
# As applications do: another node that comes to lead the slot in between counts as a change.
for _ in range(20):
    with client.pipeline(transaction=True) as transaction:
        try:
            if mode == "plain":
                transaction.watch(tag + "w")
                transaction.multi()
            transaction.set(tag + "w", "1")
            transaction.incr(tag + "w")
            transaction.get(tag + "w")
            replies = transaction.execute()
            break
        except redis.WatchError:
            continue
# redis-py leaves the replies of a cluster's transaction as they came.
check("EXEC", replies, [True if mode == "plain" else "OK", 2, "2"])
if mode == "plain":
    with client.pipeline(transaction=True) as transaction:
        transaction.watch(tag + "w")
        client.set(tag + "w", "changed")
        transaction.multi()
        transaction.set(tag + "w", "lost")
        try:
            transaction.execute()
            sys.exit("EXEC after a change: no WatchError")
        except redis.WatchError:
            check("WATCH", client.get(tag + "w"), "changed")
    check("CLIENT SETNAME", client.client_setname("compat"), True)
    check("CLIENT GETNAME", client.client_getname(), "compat")
    check("INFO", client.info("server")["redis_mode"] in ("standalone", "cluster"), True)
    check("CONFIG GET", "maxmemory" in client.config_get("maxmemory"), True)
    check("COMMAND COUNT", client.command_count() > 50, True)

client.close()
print("OK")
