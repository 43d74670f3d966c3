//! Streams: where their keys are, and what a transaction makes of waiting.

use super::harness::{Node, array};

fn words(line: &str) -> bytes::Bytes {
    array(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

#[test]
fn keys_of_a_read_are_of_one_slot() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(&words("XADD {t}a 1 f v"), b"$3\r\n1-0\r\n");
    wire.ask(&words("XADD {t}b 2 f v"), b"$3\r\n2-0\r\n");
    let both = b"*2\r\n*2\r\n$4\r\n{t}a\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n\
                 *2\r\n$4\r\n{t}b\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
    wire.ask(&words("XREAD STREAMS {t}a {t}b 0 0"), both);
    let refused = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    wire.ask(&words("XREAD COUNT 1 STREAMS a b 0 0"), refused);
    wire.ask(&words("XREADGROUP GROUP g c STREAMS a b 0 0"), refused);
    // What has no keys that could be told is refused in Redis's words.
    wire.ask(&words("XREAD FOO STREAMS a 0"), b"-ERR syntax error\r\n");
    wire.ask(
        &words("XREAD STREAMS a b 0"),
        b"-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.\r\n",
    );
}

#[test]
fn nothing_waits_in_a_transaction() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(&words("XGROUP CREATE s g $ MKSTREAM"), b"+OK\r\n");
    wire.ask(
        b"MULTI\r\nXREAD BLOCK 0 STREAMS s $\r\nXREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\nEXEC\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*-1\r\n*-1\r\n",
    );
    wire.ask(
        b"XGROUP CREATE s g $\r\nXGROUP FOO\r\n",
        b"-BUSYGROUP Consumer Group name already exists\r\n-ERR unknown subcommand 'FOO'. Try XGROUP HELP.\r\n",
    );
}
