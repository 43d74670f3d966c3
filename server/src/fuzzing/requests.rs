//! The request decoder: however a stream is cut, the same commands come out of it, and each of them reads back.

use larder_protocol::{CommandBatch, Limits, ProtocolError, RequestDecoder};

type Decoded = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// The first byte says how the stream is cut, the second who sends it.
pub(super) fn run(input: &[u8]) {
    let [cut, who, wire @ ..] = input else { return };
    let (limits, authenticated) = (
        // Small limits, so that a short input can meet them.
        Limits { bulk_bytes_max: 4096, inline_bytes_max: 128, command_bytes_max: 8192, ..Limits::default() },
        who & 1 == 0,
    );
    let whole = decode(wire, wire.len().max(1), limits, authenticated);
    let halved = decode(wire, usize::from(*cut) % 32 + 1, limits, authenticated);
    assert_eq!(whole, halved, "in pieces of {}", usize::from(*cut) % 32 + 1);
    if !authenticated {
        for command in &whole.0 {
            assert!(command.len() <= 128 && command.iter().all(|arg| arg.len() <= 16_384));
        }
    }
    let again: Vec<u8> = whole.0.iter().flat_map(|command| encode(command)).collect();
    let roomy = Limits { command_bytes_max: 1 << 20, ..Limits::default() };
    assert_eq!(decode(&again, again.len().max(1), roomy, true), (whole.0, None));
}

fn decode(wire: &[u8], piece: usize, limits: Limits, authenticated: bool) -> Decoded {
    let mut decoder = RequestDecoder::new(limits);
    decoder.set_authenticated(authenticated);
    let (mut batch, mut commands, mut held) = (CommandBatch::default(), Vec::new(), Vec::new());
    for piece in wire.chunks(piece) {
        held.extend_from_slice(piece);
        loop {
            match decoder.decode(&held, &mut batch, 3) {
                Ok(consumed) => {
                    commands.extend(batch.iter(&held).map(|args| args.iter().map(<[u8]>::to_vec).collect()));
                    held.drain(..consumed);
                }
                Err(error) => return (commands, Some(error)),
            }
            // A length that is promised takes no memory, and no more is asked for than was promised.
            assert!(decoder.memory_bytes() <= 1024 + 64 * wire.len());
            assert!(decoder.missing_bytes() <= limits.bulk_bytes_max as usize + 2);
            if batch.is_empty() {
                break;
            }
        }
    }
    (commands, None)
}

fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", command.len()).into_bytes();
    for arg in command {
        wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        wire.extend_from_slice(arg);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}
