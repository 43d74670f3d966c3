//! Commands as patched templates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of every key.
pub const KEY_BYTES: usize = 16;
/// Digits at the end of a key that tell it from others.
const DIGITS: usize = 12;
/// Times to live, in milliseconds: 3 to 28 hours, all of as many digits.
const TTL_MS: std::ops::Range<u32> = 10_000_000..100_000_000;
const TTL_DIGITS: usize = 8;

/// Which commands are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
pub enum Mix {
    /// GET of random keys.
    Get,
    /// SET of random keys.
    Set,
    /// Nine GET to one SET, of random keys.
    #[value(name = "90:10")]
    NineToOne,
    /// SET of every key once, in order.
    #[value(skip)]
    Fill,
    /// A command of [`Requests::of`].
    Template,
}

impl Mix {
    /// How tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Set => "SET",
            Self::NineToOne => "90:10",
            Self::Fill => "fill",
            Self::Template => "template",
        }
    }
}

/// Commands of a run, before they are dealt out to connections.
#[derive(Clone, Debug)]
pub struct Requests {
    /// Which.
    pub mix: Mix,
    /// How many keys there are.
    pub keys: u32,
    /// Bytes of every value.
    pub value_bytes: usize,
    /// Whether what is set is given a time to live, each its own.
    expiring: bool,
    /// The next key of [`Mix::Fill`], whichever connection sends it.
    next: Arc<AtomicU32>,
    template: Arc<Template>,
}

impl Requests {
    /// Commands on `keys` keys.
    pub fn new(mix: Mix, keys: u32, value_bytes: usize) -> Self {
        Self { mix, keys, value_bytes, expiring: false, next: Arc::default(), template: Arc::default() }
    }

    /// A command of these words. Each run of `#` in them is a number below `keys` with so many digits: a random one, or,
    /// where they come `in_order`, the next one, the same for all runs of a command.
    pub fn of(words: &[&str], keys: u32, in_order: bool) -> Self {
        let template = Arc::new(Template::new(words, in_order));
        Self { template, ..Self::new(Mix::Template, keys, 0) }
    }

    /// The same with a time to live for what is set, if `expiring`.
    pub fn expiring(self, expiring: bool) -> Self {
        Self { expiring, ..self }
    }

    /// Commands of connection `number`, of the keys in `only` where that is given.
    pub fn for_connection(&self, number: u64, only: Option<&[u32]>) -> ConnectionRequests {
        let value = "v".repeat(self.value_bytes);
        let key = "0".repeat(DIGITS);
        let get = format!("*2\r\n$3\r\nGET\r\n${KEY_BYTES}\r\nkey:{key}\r\n");
        let (count, ttl) = match self.expiring {
            false => (3, String::new()),
            true => (5, format!("$2\r\nPX\r\n${TTL_DIGITS}\r\n{}\r\n", TTL_MS.start)),
        };
        let length = self.value_bytes;
        let set = format!("*{count}\r\n$3\r\nSET\r\n${KEY_BYTES}\r\nkey:{key}\r\n${length}\r\n{value}\r\n{ttl}");
        let digits_at = |template: &str| template.find(&key).unwrap_or(0);
        ConnectionRequests {
            mix: self.mix,
            keys: self.keys,
            only: only.map(Arc::from),
            get: (get.clone().into_bytes(), digits_at(&get)),
            set: (set.clone().into_bytes(), digits_at(&set)),
            ttl_from_end: self.expiring.then_some(TTL_DIGITS + 2),
            random: 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(number + 1) | 1,
            next: Arc::clone(&self.next),
            template: Arc::clone(&self.template),
        }
    }
}

/// A command with places for numbers.
#[derive(Debug, Default)]
struct Template {
    bytes: Vec<u8>,
    /// Where numbers stand.
    places: Vec<std::ops::Range<usize>>,
    in_order: bool,
}

impl Template {
    fn new(words: &[&str], in_order: bool) -> Self {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        let mut places: Vec<std::ops::Range<usize>> = Vec::new();
        for at in (0..bytes.len()).filter(|at| bytes[*at] == b'#') {
            match places.last_mut().filter(|place| place.end == at) {
                Some(place) => place.end = at + 1,
                None => places.push(at..at + 1),
            }
        }
        bytes.iter_mut().filter(|byte| **byte == b'#').for_each(|byte| *byte = b'0');
        Self { bytes, places, in_order }
    }
}

/// Commands of one connection, without end.
pub struct ConnectionRequests {
    mix: Mix,
    keys: u32,
    only: Option<Arc<[u32]>>,
    /// Template, and where its key's digits stand.
    get: (Vec<u8>, usize),
    set: (Vec<u8>, usize),
    /// Where the digits of SET's time to live stand.
    ttl_from_end: Option<usize>,
    random: u64,
    next: Arc<AtomicU32>,
    template: Arc<Template>,
}

impl ConnectionRequests {
    /// Appends the next `count` commands.
    pub fn append(&mut self, count: u64, out: &mut Vec<u8>) {
        if self.mix == Mix::Template {
            (0..count).for_each(|_| self.append_template(out));
            return;
        }
        for _ in 0..count {
            let dice = self.random();
            let key = self.key(dice >> 32);
            let is_get = match self.mix {
                Mix::Get => true,
                Mix::Set | Mix::Fill | Mix::Template => false,
                Mix::NineToOne => !(dice as u32).is_multiple_of(10),
            };
            let (template, digits_at) = if is_get { &self.get } else { &self.set };
            let start = out.len() + digits_at;
            out.extend_from_slice(template);
            write_digits(&mut out[start..start + DIGITS], key);
            if let Some(back) = self.ttl_from_end.filter(|_| !is_get) {
                let ttl_ms = TTL_MS.start + dice as u32 % (TTL_MS.end - TTL_MS.start);
                let start = out.len() - back;
                write_digits(&mut out[start..start + TTL_DIGITS], ttl_ms);
            }
        }
    }

    fn append_template(&mut self, out: &mut Vec<u8>) {
        let template = Arc::clone(&self.template);
        let start = out.len();
        out.extend_from_slice(&template.bytes);
        let next = if template.in_order { self.next.fetch_add(1, Ordering::Relaxed) } else { 0 };
        for place in &template.places {
            let number = if template.in_order { next } else { self.random() as u32 };
            write_digits(&mut out[start + place.start..start + place.end], number % self.keys);
        }
    }

    fn key(&mut self, dice: u64) -> u32 {
        let pick = |among: usize| ((dice * among as u64) >> 32) as usize;
        match (&self.only, self.mix) {
            (Some(only), _) => only[pick(only.len())],
            (None, Mix::Fill) => self.next.fetch_add(1, Ordering::Relaxed) % self.keys,
            (None, _) => pick(self.keys as usize) as u32,
        }
    }

    /// xorshift64*.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

fn write_digits(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
}

/// The key numbered `number`.
pub fn key_name(number: u32) -> String {
    format!("key:{number:0DIGITS$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(requests: &Requests, number: u64, count: u64) -> String {
        let mut out = Vec::new();
        requests.for_connection(number, None).append(count, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_well_formed_and_stay_within_their_keys() {
        let requests = Requests::new(Mix::NineToOne, 1000, 3);
        let sent = text(&requests, 0, 10_000);
        let gets = sent.matches("*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000").count();
        let sets = sent.matches("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000").count();
        assert_eq!(gets + sets, 10_000);
        assert!((800..1200).contains(&sets), "{sets}");
        assert_eq!(sent.matches("$3\r\nvvv\r\n").count(), sets);
    }

    #[test]
    fn templates_have_numbers_in_their_places() {
        let requests = Requests::of(&["ZADD", "z", "##", "m####"], 100, true);
        assert_eq!(text(&requests, 0, 1), "*4\r\n$4\r\nZADD\r\n$1\r\nz\r\n$2\r\n00\r\n$5\r\nm0000\r\n");
        assert!(text(&requests, 1, 60).ends_with("$2\r\n60\r\n$5\r\nm0060\r\n"));
        let random = text(&Requests::of(&["MSET", "#", "a", "##", "b"], 10, false), 0, 1000);
        assert!((0..10).all(|digit| random.contains(&format!("$1\r\n{digit}\r\n$1\r\na\r\n$2\r\n0"))));
    }

    #[test]
    fn times_to_live_are_of_one_length() {
        let requests = Requests::new(Mix::Set, 10, 1).expiring(true);
        let sent = text(&requests, 0, 1000);
        let ttls: Vec<u32> = sent.split("$8\r\n").skip(1).map(|rest| rest[..TTL_DIGITS].parse().unwrap()).collect();
        assert_eq!(ttls.len(), 1000);
        assert!(ttls.iter().all(|ttl| TTL_MS.contains(ttl)));
        assert_eq!(sent.matches("*5\r\n$3\r\nSET\r\n$16\r\nkey:").count(), 1000);
    }

    #[test]
    fn filling_names_every_key_once() {
        let requests = Requests::new(Mix::Fill, 100, 1);
        let sent: String = (0..4).map(|connection| text(&requests, connection, 25)).collect();
        for key in 0..100 {
            assert_eq!(sent.matches(&key_name(key)).count(), 1);
        }
    }
}
