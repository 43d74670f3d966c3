# What is done often. `verify` never writes to the sources; `fix` does.

# List the recipes
default:
    @just --list

# A local cluster of three nodes
dev *args:
    cargo run --release -- dev {{args}}

# Everything that a change must pass
verify:
    .ci/run

# Format, and apply what clippy can by itself
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

# Tests of one crate, or of all
test crate="":
    cargo test {{ if crate == "" { "--workspace" } else { "-p " + crate } }}

# Larder and redis-server side by side
compare *args:
    cargo run --release -p benches -- compare {{args}}

# Three nodes, one node, and redis-server with two replicas
bench-cluster *args:
    cargo run --release -p benches -- cluster {{args}}

# Micro-benchmarks
micro *args:
    cargo bench -p benches -- {{args}}

# Record anew which functions a node needs until it stands idle (needs gdb and binutils)
startup-order:
    cargo build --release
    gdb -nx -batch --readnever -x server/startup/record.py target/release/larder

# The tests of what handles bytes, under AddressSanitizer (needs a nightly toolchain)
address-sanitizer:
    RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0 cargo +nightly test -p larder --lib \
        --target x86_64-unknown-linux-gnu --target-dir target/address-sanitizer -- \
        keyspace:: fuzzing:: commands:: rdb:: dispatch:: raft::log raft::machine
