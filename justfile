# The commands of daily work; `just` alone lists them. CI runs `just ci`.

# List the commands
default:
    @just --list --unsorted

# Start a gateway that answers without any account
quickstart:
    cargo run --release --locked --bin gateway-server -- --config configs/quickstart.yaml

# Everything that a change has to pass
ci:
    bash .ci/run

# Format the code
fmt:
    cargo fmt --all

# Lint with warnings denied
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Run all tests, or those whose names contain ARGS
test *ARGS:
    cargo test --workspace {{ ARGS }}

# Build the documentation with warnings denied
doc $RUSTDOCFLAGS="-Dwarnings":
    cargo doc --workspace --no-deps --locked

# Check licences, sources, bans and known advisories of the dependencies
deny:
    cargo deny check --hide-inclusion-graph

# Let an upstream fail under load and come back, and print what callers saw of it; ARGS such as --seconds 20
drill *ARGS:
    cargo build --release --locked --bin gateway-server
    cargo run --release --locked --package gateway-tests --bin drill -- {{ ARGS }}

# Make three times as many calls as can be served, and print what callers got; ARGS such as --seconds 8
overload *ARGS:
    cargo build --release --locked --bin gateway-server
    cargo run --release --locked --package gateway-tests --bin overload -- {{ ARGS }}

# Edit a file of 1,000 providers under load, and print what callers saw of it; ARGS such as --edits 5
reloads *ARGS:
    cargo build --release --locked --bin gateway-server
    cargo run --release --locked --package gateway-tests --bin reloads -- {{ ARGS }}

# Count the instructions of calls, of the scanners and of those who are told, and fail above the baseline (needs valgrind); ARGS such as --only frame
bench-micro *ARGS:
    cargo run --profile micro --locked --package gateway-tests --bin instructions -- {{ ARGS }}

# Record anew which functions a start runs, for the linker to put them into one place (needs valgrind and curl), then build again
record-start:
    cargo build --release --locked --bin gateway-server
    bash bins/gateway-server/record-start.sh "${CARGO_TARGET_DIR:-target}/release/gateway-server"
    cargo build --release --locked --bin gateway-server

# Measure the gateway beside nginx, HAProxy and a bare proxy, over ten minutes long; ARGS such as --quick or --case plain
bench *ARGS:
    cargo build --release --locked --bin gateway-server
    cargo run --release --locked --package gateway-bench -- {{ ARGS }}
