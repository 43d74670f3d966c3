//! The same bytes to a real redis-server, where it is installed.

use super::harness::{Node, Wire, array, until};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

pub(super) struct Redis {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Redis {
    pub(super) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    pub(super) fn start_with(more: &[&str]) -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let port = address.port().to_string();
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"];
        let child = Command::new("redis-server").args(args).args(more).stdout(Stdio::null()).spawn().ok()?;
        until("redis-server accepts", || TcpStream::connect(address).is_ok());
        Some(Self { child, address })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each is sent on a connection of its own, with SHUT_WR after it; everything that comes back must be the same.
const SCRIPTS: &[&[u8]] = &[
    b"set a 1\r\nget a\r\nGET nosuch\r\n",
    b"nosuch\r\n",
    b"nosuch a b c\r\n",
    b"nosuch \"line\\r\\nbreak\" x\r\n",
    b"*3\r\n$3\r\nfoo\r\n$4\r\n\x00abc\r\n$2\r\n\xff\xfe\r\n",
    b"nosuch xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx y z\r\n",
    b"nosuch aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c\r\n",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
    b"get\r\nget a b\r\nset a\r\n",
    b"multi\r\nset a 1\r\nget a\r\nexec\r\nexec\r\ndiscard\r\n",
    b"multi\r\nmulti\r\nwatch a\r\nset a 1\r\nexec\r\n",
    b"multi\r\nnosuch\r\nset a 2\r\nexec\r\nget a\r\nexec\r\n",
    b"multi\r\nget\r\ndiscard\r\nexec\r\n",
    b"multi\r\nexec foo\r\nexec\r\n",
    b"multi\r\nset a 1\r\nexec foo\r\nget a\r\n",
    b"exec foo\r\nmulti a\r\ndiscard a\r\nunwatch a\r\nwatch\r\n",
    b"watch a\r\nset a 5\r\nmulti\r\nget a\r\nexec\r\nmulti\r\nget a\r\nexec\r\n",
    b"watch a\r\nset a 5\r\nunwatch\r\nmulti\r\nget a\r\nexec\r\n",
    b"watch a\r\nset a 5\r\nmulti\r\ndiscard\r\nmulti\r\nget a\r\nexec\r\n",
    b"multi\r\nunwatch\r\nget a\r\nexec\r\n",
    b"watch a a a\r\nmulti\r\nget a\r\nexec\r\n",
    b"multi\r\nping\r\nset a 1\r\necho x\r\nget a\r\nexec\r\n",
    b"multi\r\nreset\r\nget a\r\nexec\r\n",
    b"multi\r\nset a 1\r\nquit\r\nget a\r\n",
    b"multi\r\nhello 3\r\nget nosuch\r\n",
    b"set a 1\r\nmulti\r\nincr a\r\nappend\r\nexec\r\nget a\r\n",
    b"set a x\r\nmulti\r\nincr a\r\nget a\r\nexec\r\n",
    b"set a 1 px 1\r\nwatch b\r\nmulti\r\nset b 1\r\nexec\r\n",
    b"client nosuch\r\nclient\r\nconfig nosuch a b\r\nobject\r\nclient kill\r\n",
    b"client reply off\r\nset a 1\r\nget a\r\nclient reply on\r\nget a\r\n",
    b"client reply skip\r\nset a 2\r\nget a\r\n",
    b"client reply skip\r\nclient reply skip\r\nset a 3\r\nget a\r\n",
    b"client reply off\r\nclient reply skip\r\nget a\r\nget a\r\nnosuch\r\nclient reply on\r\n",
    b"client reply off\r\n*x\r\n",
    b"multi\r\nclient reply skip\r\nping\r\nexec\r\necho a\r\necho b\r\n",
    b"multi\r\nclient reply off\r\nping\r\nexec\r\necho a\r\nclient reply on\r\necho b\r\n",
    b"multi\r\nping\r\nclient reply off\r\nping\r\nclient reply on\r\nping\r\nexec\r\necho a\r\n",
    b"multi\r\nset a 1\r\nclient reply off\r\nget a\r\nexec\r\nget a\r\nclient reply on\r\n",
    b"multi\r\nset a 1\r\nclient reply skip\r\nlpush a 1\r\nexec\r\nget a\r\nget a\r\n",
    b"client reply off\r\nmulti\r\nping\r\nclient reply on\r\nping\r\nexec\r\necho a\r\n",
    b"client reply off\r\nmulti\r\nset a 1\r\nexec\r\nexec\r\nclient reply on\r\nget a\r\n",
    b"client reply skip\r\nmulti\r\nclient reply skip\r\nexec\r\necho a\r\necho b\r\n",
    b"multi\r\nnosuch\r\nclient reply skip\r\nexec\r\necho a\r\n",
    b"client reply skip\r\nexec\r\necho a\r\n",
    b"quit\r\nget a\r\n",
    b"ping\r\nping x\r\nping x y\r\necho\r\n",
    b"mset a 1 b 2 c 3 d 4\r\nmget a b nosuch c d a\r\nexists a b nosuch c d a\r\ndel a b nosuch\r\nmget a b c d\r\n",
    b"mset a 1 b\r\nmset a\r\nmget\r\ndel\r\ntouch c d e f\r\nunlink c d e f\r\n",
    b"flushall\r\ndbsize\r\nrandomkey\r\nkeys *\r\nscan 0\r\nset a 1\r\ndbsize\r\nkeys *\r\nrandomkey\r\nscan 0\r\nflushall x\r\nflushdb\r\ndbsize\r\n",
    b"scan x\r\nscan 0 count 0\r\nscan 0 count x\r\nscan 0 nosuch\r\nscan 18446744073709551616\r\n",
    b"set {t}a 1\r\nrename {t}a {t}b\r\nget {t}b\r\ncopy {t}b {t}c\r\nmget {t}b {t}c\r\nmsetnx {t}b 1 {t}d 2\r\n",
    b"flushall\r\nset a 0\r\nselect 3\r\nget a\r\nset a 3\r\ndbsize\r\nselect 0\r\nget a\r\nmove a 3\r\nmove a 4\r\nget a\r\nselect 4\r\nget a\r\nkeys *\r\nrandomkey\r\nscan 0\r\n",
    b"select\r\nselect x\r\nselect 16\r\nselect -1\r\nselect 99999999999\r\nswapdb 0\r\nswapdb x 1\r\nswapdb 1 x\r\nswapdb 1 16\r\nmove a\r\nmove a 0\r\nmove a x\r\nmove a 16\r\ncopy a {a}b db 16\r\n",
    b"flushall\r\nset a 0\r\nmulti\r\nget a\r\nselect 5\r\nset a 5\r\nget a\r\nselect 99\r\nget a\r\nselect 0\r\nget a\r\nselect 5\r\nexec\r\nget a\r\ndbsize\r\n",
    b"flushall\r\nmulti\r\nselect 5\r\nexec\r\nset a 5\r\nmulti\r\nselect 6\r\nselect 7\r\nping\r\nset a 7\r\ndiscard\r\nget a\r\nselect 7\r\nget a\r\n",
    b"flushall\r\nwatch a\r\nselect 1\r\nset a 1\r\nmulti\r\nget a\r\nexec\r\nwatch a\r\nselect 0\r\nset a 0\r\nmulti\r\nget a\r\nexec\r\n",
    b"flushall\r\nselect 2\r\nwatch a\r\nset a 1\r\nselect 3\r\nmulti\r\nget a\r\nexec\r\n",
    b"flushall\r\nset a 1\r\nselect 1\r\nwatch a\r\nswapdb 0 1\r\nmulti\r\nget a\r\nexec\r\nget a\r\nwatch {a}b\r\nswapdb 0 1\r\nmulti\r\nget a\r\nexec\r\n",
    b"flushall\r\nmulti\r\nset a 1\r\nmove a 1\r\nselect 1\r\nget a\r\ncopy a a db 2\r\nexec\r\nmulti\r\nswapdb 1 2\r\ndbsize\r\nexec\r\n",
    b"select 1\r\nreset\r\nset a 0\r\nselect 1\r\nhello 2 nosuch\r\nexists a\r\nflushdb\r\nselect 0\r\nget a\r\n",
    b"set a 1\r\n*x\r\nget a\r\n",
    b"*1\r\n$x\r\n",
    b"get \"a\r\n",
    b"blpop nosuch -1\r\nblpop nosuch nan\r\nblpop nosuch x\r\nblpop nosuch \"\"\r\nblmove {q}a {q}b left right -1e-9\r\nbzmpop -0.1 1 a min\r\nblmpop x 1 a left\r\n",
    b"*-5\r\nget a\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n",
];

/// Commands into which each of [`EDGES`] goes where `~` stands; `^` is nothing. What is asked of keys that exist is
/// asked first.
#[rustfmt::skip]
const AT_THE_EDGES: &[&str] = &[
    "getrange s ~ -1", "getrange s 0 ~", "substr s ~ ~", "getbit s ~", "bitcount s ~ ~", "bitcount s 0 ~ bit", "bitpos s 1 ~ ~", "bitpos s 0 ~ -1 bit",
    "bitfield s get u8 ~", "bitfield s get i~ 0", "lrange l ~ -1", "lrange l 0 ~", "lrange l ~ ~", "lindex l ~", "lset l ~ x", "lpos l a count ~", "lpos l a maxlen ~",
    "lrem l ~ nosuch", "ltrim nosuch ~ ~", "lpop nosuch ~", "rpop nosuch ~", "lmpop ~ l left", "lmpop 1 nosuch left count ~", "zmpop ~ z min", "sintercard ~ st", "sintercard 1 st limit ~",
    "zintercard 1 z limit ~", "zunion ~ z", "zinter ~ z", "zrange z ~ -1", "zrange z 0 ~", "zrevrange z ~ ~", "zrange z 0 10 byscore limit ~ ~", "zrangebyscore z -inf +inf limit ~ 1",
    "zrangebyscore z -inf +inf limit 0 ~", "zrangebyscore z ~ +inf", "zrangebylex z - + limit ~ ~", "zremrangebyrank nosuch ~ ~", "zcount z ~ ~", "spop nosuch ~", "srandmember nosuch ~",
    "setrange n ~ ^", "incrby c ~", "decrby c ~", "hincrby h f ~", "expire e ~", "pexpire e ~", "expireat e ~", "pexpireat e ~", "set e v ex ~", "set e v px ~", "set e v exat ~",
    "setex e ~ v", "psetex e ~ v", "getex e ex ~", "getex e px ~", "xrange x ~ +", "xrange x - ~", "xrange x (~ +", "xrange x - + count ~", "xread count ~ streams x 0", "xread streams x ~",
    "xadd x2 ~ f v", "xadd x3 ~-~ f v", "xtrim x maxlen ~", "xpending x g - + ~", "georadius g 15 37 ~ km", "georadius g ~ 37 200 km", "georadius g 15 ~ 200 km", "georadius g 15 37 200 km count ~",
    "geosearch g fromlonlat 15 37 byradius ~ km", "geosearch g fromlonlat 15 37 bybox ~ ~ km", "geoadd g2 ~ ~ m", "lcs s s minmatchlen ~ idx", "sort l limit ~ ~ alpha", "sort l limit 0 ~ alpha",
    "restore k ~ abc", "client kill id ~", "echo ~", "del e n c h",
];
const EDGES: &[&str] = &[
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "0x10",
    " 1",
    "+1",
    "01",
    "-0",
    "",
    "-9223372036854775807",
    "4294967296",
    "-2147483649",
    "1.5",
];

#[test]
fn numbers_at_the_edges_are_answered_as_redis_does() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not installed: nothing to compare with");
        return;
    };
    let node = Node::start(&[]);
    let mut wires = [redis.address, node.address(larder::commands::session::PortKind::Client)].map(Wire::connect);
    let setup = b"set s hello\r\nrpush l a b c a b\r\nsadd st a b c\r\nzadd z 1 a 2 b 3 c\r\nxadd x 1-1 f v\r\nxgroup create x g 0\r\ngeoadd g 13 38 p 15 37 q\r\n";
    let mut different = Vec::new();
    wires.iter_mut().for_each(|wire| wire.ask(setup, b"+OK\r\n:5\r\n:3\r\n:3\r\n$3\r\n1-1\r\n+OK\r\n:2\r\n"));
    for edge in EDGES {
        for shape in AT_THE_EDGES {
            let words: Vec<String> = shape.split(' ').map(|word| word.replace('~', edge).replace('^', "")).collect();
            let line = words.join(" ");
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let [expected, got] = wires.each_mut().map(|wire| {
                wire.send(&[&array(&words)[..], b"ping end-of-it\r\n"].concat());
                let mut lines = Vec::new();
                while lines.last().map(String::as_str) != Some("end-of-it") {
                    lines.push(wire.line());
                }
                lines.join("|")
            });
            if got != expected && !differs(&line) {
                different.push(format!("{line}\nexpected {expected}\ngot      {got}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

/// Where Redis has changed since 7.0: it negates no least number any more.
fn differs(line: &str) -> bool {
    line.starts_with("lpos") && line.contains("-9223372036854775808")
}

#[test]
fn replies_are_those_of_redis() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not installed: nothing to compare with");
        return;
    };
    let node = Node::start(&[]);
    let mut different = Vec::new();
    for script in SCRIPTS {
        let replies = [redis.address, node.address(larder::commands::session::PortKind::Client)].map(|address| {
            let mut wire = Wire::connect(address);
            wire.send(script);
            wire.socket.shutdown(std::net::Shutdown::Write).unwrap();
            wire.rest().escape_ascii().to_string()
        });
        let [expected, got] = replies;
        if got != expected {
            different.push(format!("to      {}\nexpected {expected}\ngot      {got}", script.escape_ascii()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}
