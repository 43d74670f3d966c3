//! Hashes with deadlines of fields against a naive model, on two copies, while time moves on.

use crate::clock::UnixMs;
use crate::commands::maintenance::reap::REAP;
use crate::commands::testing::Bench;
use crate::keyspace::{Arriving, HashSeed, Keyspace};
use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEYS: [&str; 3] = ["small", "large", "other"];

/// What hashes hold, and nothing more.
#[derive(Default)]
struct Model(BTreeMap<String, BTreeMap<String, (String, Option<UnixMs>)>>);

impl Model {
    /// Forgets what is due.
    fn pass(&mut self, now: UnixMs) {
        for fields in self.0.values_mut() {
            fields.retain(|_, (_, deadline)| deadline.is_none_or(|deadline| deadline > now));
        }
        self.0.retain(|_, fields| !fields.is_empty());
    }

    fn get(&self, key: &str, field: &str) -> Option<&(String, Option<UnixMs>)> {
        self.0.get(key)?.get(field)
    }

    fn set(&mut self, key: &str, field: &str, value: &str, deadline: Option<UnixMs>) {
        self.0.entry(key.into()).or_default().insert(field.into(), (value.into(), deadline));
    }

    fn remove(&mut self, key: &str, field: &str) -> bool {
        self.0.get_mut(key).is_some_and(|fields| fields.remove(field).is_some())
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// Two copies that are given the same writes, and the model.
struct World {
    copies: [Bench; 2],
    model: Model,
    dice: Dice,
    /// Fields of the key `large`.
    different: u64,
}

impl World {
    fn new(seed: u64, different: u64) -> Self {
        Self { copies: [Bench::new(), Bench::new()], model: Model::default(), dice: Dice(seed), different }
    }

    fn now(&self) -> UnixMs {
        self.copies[0].now
    }

    /// Runs a write on both copies.
    fn write(&mut self, line: &str, reply: &str) {
        for copy in &mut self.copies {
            assert_eq!(copy.run(line), reply, "{line}");
        }
    }

    fn field(&mut self, key: &str) -> String {
        let different = if key == "large" { self.different } else { 12 };
        // Some are too long for a small hash, in one of the hashes.
        let long = key == "other" && self.dice.below(60) == 0;
        format!("{}{}", if long { "x".repeat(70) } else { "f".into() }, self.dice.below(different))
    }

    fn value(&mut self) -> String {
        match self.dice.below(3) {
            0 => self.dice.below(1000).to_string(),
            _ => format!("value{}", self.dice.below(1000)),
        }
    }

    fn step(&mut self) {
        let now = self.now();
        self.model.pass(now);
        let key = self.dice.one_of(&KEYS);
        let (field, value) = (self.field(key), self.value());
        let old = self.model.get(key, &field).cloned();
        let ttl = 1 + self.dice.below(400);
        match self.dice.below(16) {
            0..=3 => {
                self.write(&format!("HSET {key} {field} {value}"), if old.is_none() { ":1|" } else { ":0|" });
                self.model.set(key, &field, &value, None);
            }
            4 => {
                let removed = self.model.remove(key, &field);
                self.write(&format!("HDEL {key} {field}"), if removed { ":1|" } else { ":0|" });
            }
            5..=8 => self.expire(key, &field, now + ttl),
            9 => {
                let result = match old {
                    None => -2,
                    Some((_, None)) => -1,
                    Some((value, Some(_))) => {
                        self.model.set(key, &field, &value, None);
                        1
                    }
                };
                self.write(&format!("HPERSIST {key} FIELDS 1 {field}"), &format!("*1|:{result}|"));
            }
            10 => {
                let deadline = if self.dice.below(4) == 0 { now - 1 } else { now + ttl };
                self.write(&format!("HSETEX {key} PXAT {deadline} FIELDS 1 {field} {value}"), ":1|");
                self.model.set(key, &field, &value, Some(deadline));
            }
            11 => {
                self.write(&format!("HSETEX {key} KEEPTTL FIELDS 1 {field} {value}"), ":1|");
                self.model.set(key, &field, &value, old.and_then(|(_, deadline)| deadline));
            }
            12 => {
                let shown = old.as_ref().map_or("$-1|".into(), |(value, _)| format!("${}|{value}|", value.len()));
                if self.dice.below(2) == 0 {
                    self.write(&format!("HGETEX {key} PX {ttl} FIELDS 1 {field}"), &format!("*1|{shown}"));
                    old.iter().for_each(|(value, _)| self.model.set(key, &field, value, Some(now + ttl)));
                } else {
                    self.write(&format!("HGETDEL {key} FIELDS 1 {field}"), &format!("*1|{shown}"));
                    self.model.remove(key, &field);
                }
            }
            13 => {
                let number = old.as_ref().map_or(Some(0), |(value, _)| value.parse::<i64>().ok());
                let Some(number) = number else { return };
                self.write(&format!("HINCRBY {key} {field} 3"), &format!(":{}|", number + 3));
                self.model.set(key, &field, &(number + 3).to_string(), old.and_then(|(_, deadline)| deadline));
            }
            14 if self.dice.below(20) == 0 => {
                let (from, to) = (key, self.dice.one_of(&KEYS));
                let Some(fields) = self.model.0.get(from).cloned().filter(|_| from != to) else { return };
                if self.dice.below(2) == 0 {
                    self.write(&format!("COPY {from} {to} REPLACE"), ":1|");
                } else {
                    self.write(&format!("RENAME {from} {to}"), "+OK|");
                    self.model.0.remove(from);
                }
                self.model.0.insert(to.into(), fields);
            }
            14 => self.reap(),
            _ => {
                let passed = self.dice.below(60);
                self.copies.iter_mut().for_each(|copy| copy.now += passed);
            }
        }
    }

    fn expire(&mut self, key: &str, field: &str, deadline: UnixMs) {
        let condition = self.dice.one_of(&["", "", "", " NX", " XX", " GT", " LT"]);
        let result = match self.model.get(key, field).cloned() {
            None => -2,
            Some((value, old)) => {
                let allowed = match condition {
                    " NX" => old.is_none(),
                    " XX" => old.is_some(),
                    " GT" => old.is_some_and(|old| deadline > old),
                    " LT" => old.is_none_or(|old| deadline < old),
                    _ => true,
                };
                if allowed {
                    self.model.set(key, field, &value, Some(deadline));
                }
                i64::from(allowed)
            }
        };
        self.write(&format!("HPEXPIREAT {key} {deadline}{condition} FIELDS 1 {field}"), &format!("*1|:{result}|"));
    }

    /// What the leader does ten times a second.
    fn reap(&mut self) {
        let due = self.copies[0].keyspace.due(self.now(), 64);
        if due.is_empty() {
            return;
        }
        let mut words: Vec<&[u8]> = vec![b"REAP"];
        words.extend(due.iter().map(|(_, key)| key.as_slice()));
        let replies = self.copies.each_mut().map(|copy| copy.call_args(&REAP, &words));
        assert_eq!(replies[0], replies[1]);
    }

    /// Reads everything from the first copy, which changes nothing.
    fn look(&mut self) {
        let now = self.now();
        self.model.pass(now);
        for key in KEYS {
            let copy = &mut self.copies[0];
            let fields = self.model.0.get(key).cloned().unwrap_or_default();
            assert_eq!(copy.run(&format!("HLEN {key}")), format!(":{}|", fields.len()));
            assert_eq!(copy.run(&format!("EXISTS {key}")), format!(":{}|", usize::from(!fields.is_empty())));
            let shown = copy.run(&format!("HGETALL {key}"));
            let words: Vec<&str> = shown.split('|').skip(2).step_by(2).collect();
            let pairs: BTreeMap<&str, &str> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let expected = fields.iter().map(|(field, (value, _))| (field.as_str(), value.as_str())).collect();
            assert_eq!(pairs, expected, "{key}");
            for (field, (value, deadline)) in &fields {
                assert_eq!(copy.run(&format!("HGET {key} {field}")), format!("${}|{value}|", value.len()));
                let at = deadline.map_or("-1".into(), |deadline| deadline.to_string());
                assert_eq!(copy.run(&format!("HPEXPIRETIME {key} FIELDS 1 {field}")), format!("*1|:{at}|"));
            }
            let gone = format!("f{}", self.dice.below(self.different));
            if !fields.contains_key(&gone) {
                assert_eq!(copy.run(&format!("HMGET {key} {gone}")), "*1|$-1|");
                assert_eq!(copy.run(&format!("HTTL {key} FIELDS 1 {gone}")), "*1|:-2|");
            }
            let picked = copy.run(&format!("HRANDFIELD {key} -5"));
            assert!(picked.split('|').skip(2).step_by(2).all(|field| fields.contains_key(field)), "{picked}");
            assert_eq!(self.scan(key), fields.keys().cloned().collect::<Vec<_>>());
        }
        self.alike();
    }

    fn scan(&mut self, key: &str) -> Vec<String> {
        let (mut cursor, mut seen) = (String::from("0"), Vec::new());
        loop {
            let reply = self.copies[0].run(&format!("HSCAN {key} {cursor} COUNT 20 NOVALUES"));
            let words: Vec<&str> = reply.split('|').collect();
            seen.extend(words[4..].iter().skip(1).step_by(2).map(|field| field.to_string()));
            cursor = words[2].into();
            if cursor == "0" {
                seen.sort();
                seen.dedup();
                return seen;
            }
        }
    }

    /// Both copies hold the same, and so does one that loads a snapshot.
    fn alike(&mut self) {
        self.copies.iter_mut().for_each(|copy| copy.keyspace.check_invariants());
        let [one, other] = &mut self.copies;
        assert_eq!(one.keyspace.digest(), other.keyspace.digest());
        one.keyspace.open_view();
        let mut loaded = read_view(&mut one.keyspace);
        loaded.check_invariants();
        assert_eq!(loaded.digest(), one.keyspace.digest());
        assert_eq!(loaded.next_deadline(), one.keyspace.next_deadline());
    }

    /// A snapshot is that of the instant at which it was begun, whatever changes and goes until it is read.
    fn snapshot(&mut self) {
        let digest = self.copies[0].keyspace.digest();
        self.copies[0].keyspace.open_view();
        (0..40).for_each(|_| self.step());
        self.reap();
        let loaded = read_view(&mut self.copies[0].keyspace);
        assert_eq!(loaded.digest(), digest);
    }
}

/// Loads what is left of the view that is open.
fn read_view(from: &mut Keyspace) -> Keyspace {
    let mut into = Arriving::new(HashSeed::default());
    loop {
        let mut piece = BytesMut::new();
        let more = from.read_view(2000, &mut piece);
        into.load(&piece, 1).expect("a piece");
        if !more {
            break;
        }
    }
    drop(from.close_view());
    into.finish().expect("all parts")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn fields_pass_as_in_the_model(seed: u64, large: bool) {
        let mut world = World::new(seed, if large { 1500 } else { 30 });
        if large {
            // Beyond what a small hash holds, from the start.
            for number in 0..700 {
                world.write(&format!("HSET large f{number} {number}"), ":1|");
                world.model.set("large", &format!("f{number}"), &number.to_string(), None);
            }
        }
        for round in 0..12 {
            (0..120).for_each(|_| world.step());
            if round % 3 == 2 {
                // Many at once, and nobody writes to them.
                world.copies.iter_mut().for_each(|copy| copy.now += 300);
            }
            world.look();
            world.snapshot();
        }
        // In the end all that had deadlines goes, in slices.
        world.copies.iter_mut().for_each(|copy| copy.now += 1000);
        world.look();
        for _ in 0..20 {
            world.reap();
        }
        world.look();
        prop_assert!(world.copies[1].keyspace.next_deadline().is_none_or(|at| at > world.now()));
    }
}
