//! What was encoded is what is decoded, wherever the reads cut it, and as an independent decoder sees it.

use bytes::{Buf, Bytes, BytesMut};
use larder_protocol::{CommandBatch, RequestDecoder};
use proptest::prelude::*;
use redis_protocol::resp2::types::{BytesFrame, OwnedFrame, Resp2Frame};

type Command = Vec<Vec<u8>>;

/// Commands of arbitrary bytes, with many of those that mean something to the decoder.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\r\n$*'\"\\ 0123456789".to_vec())];
    let argument = prop::collection::vec(byte, 0..20);
    prop::collection::vec(prop::collection::vec(argument, 1..6), 1..6)
}

/// Encodes with `redis-protocol`, which knows nothing of our decoder.
fn encode(command: &Command) -> Vec<u8> {
    let frame = OwnedFrame::Array(command.iter().cloned().map(OwnedFrame::BulkString).collect());
    let mut out = vec![0; frame.encode_len(false)];
    let written = redis_protocol::resp2::encode::encode(&mut out, &frame, false).unwrap();
    out.truncate(written);
    out
}

/// Decodes `wire` with ours, read in the given pieces, and at most `limit` commands at a time.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> (Vec<Command>, usize) {
    let mut decoder = RequestDecoder::default();
    let mut batch = CommandBatch::default();
    let mut buffer = BytesMut::new();
    let mut commands = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let consumed = decoder.decode(&buffer, &mut batch, limit).expect("the request is well formed");
            commands.extend(batch.iter(&buffer).map(|args| args.iter().map(<[u8]>::to_vec).collect::<Command>()));
            buffer.advance(consumed);
            if batch.is_empty() {
                break;
            }
        }
    }
    (commands, buffer.len())
}

/// Quotes an argument as `redis-cli` would for an inline command.
fn quoted(argument: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in argument {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            0x20..0x7f => out.push(byte),
            _ => out.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    out.push(b'"');
    out
}

proptest! {
    #[test]
    fn decoded_is_encoded_wherever_it_is_cut(commands in commands(), limit in 1usize..8) {
        let wire: Vec<u8> = commands.iter().flat_map(encode).collect();
        for cut in 0..=wire.len() {
            let (head, tail) = wire.split_at(cut);
            prop_assert_eq!(decode([head, tail], limit), (commands.clone(), 0));
        }
        prop_assert_eq!(decode(wire.chunks(1), limit), (commands.clone(), 0));
    }

    #[test]
    fn redis_protocol_sees_the_same(commands in commands()) {
        let mut rest = Bytes::from(commands.iter().flat_map(encode).collect::<Vec<u8>>());
        let (ours, _) = decode([&rest[..]], 100);
        let mut theirs: Vec<Command> = Vec::new();
        while let Some((frame, length)) = redis_protocol::resp2::decode::decode_bytes(&rest).unwrap() {
            let BytesFrame::Array(arguments) = frame else { panic!("an array was encoded") };
            theirs.push(arguments.iter().map(|argument| argument.as_bytes().unwrap_or_default().to_vec()).collect());
            rest.advance(length);
        }
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn inline_commands_round_trip(commands in commands()) {
        let wire: Vec<u8> = commands
            .iter()
            .flat_map(|command| {
                let words: Vec<Vec<u8>> = command.iter().map(|argument| quoted(argument)).collect();
                [&words.join(&b' ')[..], b"\r\n"].concat()
            })
            .collect();
        for cut in 0..=wire.len() {
            let (head, tail) = wire.split_at(cut);
            prop_assert_eq!(decode([head, tail], 4), (commands.clone(), 0));
        }
    }

    /// Errors and commands of any input are the same however it is cut, and nothing panics.
    #[test]
    fn cuts_change_nothing_for_garbage(
        wire in prop::collection::vec(prop::sample::select(b"*$\r\n\r\n\"'\\x12-0 a\xff".to_vec()), 0..60),
        pieces in 1usize..5,
    ) {
        let run = |piece: usize| {
            let mut decoder = RequestDecoder::default();
            let mut batch = CommandBatch::default();
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for piece in wire.chunks(piece.max(1)) {
                buffer.extend_from_slice(piece);
                loop {
                    match decoder.decode(&buffer, &mut batch, 5) {
                        Ok(consumed) => {
                            seen.extend(batch.iter(&buffer).map(|args| format!("{args:?}")));
                            buffer.advance(consumed);
                        }
                        Err(error) => {
                            seen.push(error.to_string());
                            return seen;
                        }
                    }
                    if batch.is_empty() {
                        break;
                    }
                }
            }
            seen
        };
        prop_assert_eq!(run(wire.len()), run(pieces));
    }
}
