//! How often a call asks for memory, with everything that a server has. `ARCHITECTURE.md` has the same numbers.
//!
//! Who asks more often fails here; who asks less often changes the number here and there, so that it stays at that.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use allocation_counter::measure;
use gateway_tests::counted::audience::{Audience, Told};
use gateway_tests::counted::scene::{Ask, Call, Form, Scene};
use rustix::stdio::dup2_stderr;
use tokio::runtime::{Builder, Runtime};

/// Of a plain call, from a request in memory to the end of its answer: the copy of the request's headers, the gateway with key, rate
/// limit, metrics, access log and usage, and its side of the connection to the upstream.
const PLAIN_CALL: u64 = 28;

/// Of a frame that is passed on, whether it came with others or by itself.
const FRAME: u64 = 0;

/// Of 64 frames that came together, beyond those of 32: the buffer in which they leave together grows once more.
const GROWTH: u64 = 1;

/// How many frames the longer stream of a pair has more.
const MORE_FRAMES: u64 = 32;

/// Calls before those that are counted: connections are opened, series are made and buffers grow.
const WARM_UP: usize = 20;

/// Calls that are counted. The usual one is meant, and not the one in which a table grows.
const CALLS: usize = 21;

#[test]
fn a_call_asks_for_memory_no_more_often_than_is_written_down() {
    // The log is written to a file, as in production, rather than between the lines of other tests.
    dup2_stderr(tempfile::tempfile().unwrap()).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let audience = Audience::of(Told::all_but_traces(), "");
    let scene = runtime.block_on(Scene::start(&audience));
    assert_eq!(usual(&runtime, &scene, Ask::PLAIN), PLAIN_CALL, "a plain call");
    let of = |model, form| usual(&runtime, &scene, Ask { model, form, ..Ask::PLAIN });
    let more = of("alone-64", Form::OneByOne) - of("alone-32", Form::OneByOne);
    assert_eq!(more, MORE_FRAMES * FRAME, "frames that come one by one");
    let more = of("together-64", Form::Streamed) - of("together-32", Form::Streamed);
    assert_eq!(more, MORE_FRAMES * FRAME + GROWTH, "frames that come together");
    audience.dismiss();
}

/// How many allocations most of these calls make.
fn usual(runtime: &Runtime, scene: &Scene, ask: Ask) -> u64 {
    let call = Call::new(ask);
    let make = || assert_eq!(runtime.block_on(scene.make(&call)), 200, "{ask:?}");
    (0..WARM_UP).for_each(|_| make());
    let mut counts: Vec<u64> = (0..CALLS).map(|_| measure(make).count_total).collect();
    counts.sort_unstable();
    counts[CALLS / 2]
}
