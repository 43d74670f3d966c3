//! The same bytes to a real redis-server, where it is installed.

use super::harness::{Node, Wire, until};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    fn start() -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let port = address.port().to_string();
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"];
        let child = Command::new("redis-server").args(args).stdout(Stdio::null()).spawn().ok()?;
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
    b"set a 1\r\n*x\r\nget a\r\n",
    b"*1\r\n$x\r\n",
    b"get \"a\r\n",
    b"*-5\r\nget a\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n",
];

#[test]
fn replies_are_those_of_redis() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not installed: nothing to compare with");
        return;
    };
    let node = Node::start(&[]);
    for script in SCRIPTS {
        let replies = [redis.address, node.address(larder::commands::session::PortKind::Client)].map(|address| {
            let mut wire = Wire::connect(address);
            wire.send(script);
            wire.socket.shutdown(std::net::Shutdown::Write).unwrap();
            wire.rest().escape_ascii().to_string()
        });
        let [expected, got] = replies;
        assert_eq!(got, expected, "to {}", script.escape_ascii());
    }
}
