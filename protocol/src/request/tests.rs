//! The decoder against whole, halved and broken requests.

use bytes::{Buf, BytesMut};

use super::*;

/// Feeds `wire` in pieces of `piece` bytes and returns all commands, or the error that ended it after them.
fn decode_in_pieces(
    decoder: &mut RequestDecoder,
    wire: &[u8],
    piece: usize,
) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let mut buffer = BytesMut::new();
    let mut batch = CommandBatch::default();
    let mut commands = Vec::new();
    for piece in wire.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&buffer, &mut batch, 3) {
                Ok(consumed) => {
                    commands.extend(batch.iter(&buffer).map(|args| args.iter().map(<[u8]>::to_vec).collect()));
                    buffer.advance(consumed);
                }
                Err(error) => return (commands, Some(error)),
            }
            if batch.is_empty() {
                break;
            }
        }
    }
    (commands, None)
}

fn error_of(wire: &[u8]) -> Option<ProtocolError> {
    let (_, whole) = decode_in_pieces(&mut RequestDecoder::default(), wire, wire.len());
    for piece in [1, 2, 3, 1000] {
        let (_, halved) = decode_in_pieces(&mut RequestDecoder::default(), wire, piece);
        assert_eq!(whole, halved, "in pieces of {piece}: {}", wire.escape_ascii());
    }
    whole
}

fn words(command: &[&str]) -> Vec<Vec<u8>> {
    command.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn arrays_and_inline_commands_may_alternate() {
    let wire = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nset  k 'a b'\r\n*1\r\n$4\r\nPING\r\nping\n";
    let expected = [words(&["GET", "k"]), words(&["set", "k", "a b"]), words(&["PING"]), words(&["ping"])];
    for piece in 1..=wire.len() {
        let (commands, error) = decode_in_pieces(&mut RequestDecoder::default(), wire, piece);
        assert_eq!((commands.as_slice(), error), (&expected[..], None), "in pieces of {piece}");
    }
}

#[test]
fn empty_requests_are_skipped() {
    let (commands, error) =
        decode_in_pieces(&mut RequestDecoder::default(), b"*0\r\n*-1\r\n\r\n\n  \r\n*-7\r\nping\r\n", 100);
    assert_eq!((commands, error), (vec![words(&["ping"])], None));
}

#[test]
fn empty_arguments_are_kept() {
    let (commands, error) =
        decode_in_pieces(&mut RequestDecoder::default(), b"*3\r\n$0\r\n\r\n$1\r\na\r\n$0\r\n\r\n", 1);
    assert_eq!((commands, error), (vec![words(&["", "a", ""])], None));
}

#[test]
fn broken_requests_get_the_errors_of_redis() {
    use ProtocolError::*;
    let big = |start: &str| [start.as_bytes(), &vec![b'1'; 70_000]].concat();
    let cases: &[(&[u8], ProtocolError)] = &[
        (b"*3000000000\r\n", InvalidMultibulkLength),
        (b"*20000000000000000000\r\n", InvalidMultibulkLength),
        (b"*x\r\n", InvalidMultibulkLength),
        (b"*\r\n", InvalidMultibulkLength),
        (b"*01\r\n", InvalidMultibulkLength),
        (b"*+1\r\n", InvalidMultibulkLength),
        (b"*-0\r\n", InvalidMultibulkLength),
        (b"*1\r\nfoo\r\n", ExpectedBulk(b'f')),
        (b"*1\r\nf12\r\n", ExpectedBulk(b'f')),
        (b"*1\r\n\r\n", ExpectedBulk(b'\r')),
        (b"*1\r\n$x\r\n", InvalidBulkLength),
        (b"*1\r\n$-1\r\n", InvalidBulkLength),
        (b"*1\r\n$\r\n", InvalidBulkLength),
        (b"*1\r\n$536870913\r\n", InvalidBulkLength),
        (b"*1\r\n$2000000000\r\n", InvalidBulkLength),
        (b"get \"k\r\n", UnbalancedQuotes),
        (&big(""), TooBigInline),
        (&big("*"), TooBigMultibulkCount),
        (&big("*1\r\n$"), TooBigBulkCount),
    ];
    for (wire, expected) in cases {
        assert_eq!(error_of(wire), Some(*expected), "{}", wire[..wire.len().min(40)].escape_ascii());
    }
}

#[test]
fn lines_without_an_end_are_waited_for() {
    for wire in [&b"*1\r\nfoo"[..], b"*3", b"*x", b"*1\r\n$", b"*1\r", b"get \"k", b"*1\r\n$5\r\nab"] {
        assert_eq!(error_of(wire), None, "{}", wire.escape_ascii());
    }
}

#[test]
fn strangers_may_send_little() {
    let wire = |wire: &[u8]| {
        let mut decoder = RequestDecoder::default();
        decoder.set_authenticated(false);
        decode_in_pieces(&mut decoder, wire, 7).1
    };
    assert_eq!(wire(b"*10\r\n"), None);
    assert_eq!(wire(b"*11\r\n"), Some(ProtocolError::UnauthenticatedMultibulk));
    assert_eq!(wire(b"*1\r\n$16384\r\n"), None);
    assert_eq!(wire(b"*1\r\n$16385\r\n"), Some(ProtocolError::UnauthenticatedBulk));
}

#[test]
fn good_commands_before_an_error_are_served_first() {
    let mut decoder = RequestDecoder::default();
    let mut batch = CommandBatch::default();
    let wire = b"*1\r\n$4\r\nPING\r\nget 'a' 'b\r\n";
    assert_eq!(decoder.decode(wire, &mut batch, 16), Ok(14));
    assert_eq!(batch.len(), 1);
    assert_eq!(&batch.args(wire, 0)[0], b"PING");
    for _ in 0..2 {
        assert_eq!(decoder.decode(&wire[14..], &mut batch, 16), Err(ProtocolError::UnbalancedQuotes));
        assert!(batch.is_empty());
    }
}

#[test]
fn a_command_is_limited_as_a_whole() {
    let limits = Limits { command_bytes_max: 100, ..Limits::default() };
    let mut decoder = RequestDecoder::new(limits);
    assert_eq!(decode_in_pieces(&mut decoder, b"*2\r\n$101\r\n", 5).1, Some(ProtocolError::TooBigRequest));
    let many = [&b"*90\r\n"[..], &b"$0\r\n\r\n".repeat(90)].concat();
    let mut decoder = RequestDecoder::new(limits);
    assert_eq!(decode_in_pieces(&mut decoder, &many, 5).1, Some(ProtocolError::TooBigRequest));
}

#[test]
fn the_reader_learns_what_a_bulk_still_needs() {
    let mut decoder = RequestDecoder::default();
    let mut batch = CommandBatch::default();
    assert_eq!(decoder.decode(b"ping\r\n*2\r\n$3\r\nGET\r\n$100000\r\nab", &mut batch, 16), Ok(6));
    assert_eq!(decoder.missing_bytes(), 100_000);
    let mut rest = b"*2\r\n$3\r\nGET\r\n$100000\r\nab".to_vec();
    rest.resize(rest.len() + 99_999, b'x');
    assert_eq!(decoder.decode(&rest, &mut batch, 16), Ok(0));
    assert_eq!(decoder.missing_bytes(), 1);
    rest.push(b'\n');
    assert_eq!(decoder.decode(&rest, &mut batch, 16), Ok(rest.len()));
    assert_eq!((batch.args(&rest, 0)[1].len(), decoder.missing_bytes()), (100_000, 0));
}

/// A decoder that began anew with every read would look at 10^11 bytes here and not end within the patience of anyone.
#[test]
fn a_large_command_in_small_reads_takes_linear_time() {
    const ARGS: usize = 400_000;
    let mut wire = format!("*{ARGS}\r\n").into_bytes();
    for _ in 0..ARGS {
        wire.extend_from_slice(b"$3\r\nabc\r\n");
    }
    let mut decoder = RequestDecoder::default();
    let (commands, error) = decode_in_pieces(&mut decoder, &wire, 9);
    assert_eq!((commands.len(), commands[0].len(), error), (1, ARGS, None));
    assert!(decoder.memory_bytes() < 64 * 1024);
}

#[test]
fn usual_commands_allocate_nothing() {
    let wire = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n".repeat(50);
    let mut decoder = RequestDecoder::default();
    let mut batch = CommandBatch::default();
    let mut held = Vec::new();
    for cut in 1..wire.len() {
        let consumed = decoder.decode(&wire[..cut], &mut batch, 1000).unwrap();
        decoder.decode(&wire[consumed..], &mut batch, 1000).unwrap();
        held.push((decoder.memory_bytes(), batch.memory_bytes()));
    }
    assert_eq!(held[held.len() / 2], held[held.len() - 1]);
}
