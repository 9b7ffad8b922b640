//! The counts in memory answer what every backend answers.

use std::future::Future as _;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use gateway_ratelimit::LocalLimits;
use gateway_testing::limit_vectors;

#[test]
#[expect(clippy::disallowed_methods, reason = "an instant cannot be had otherwise, and any will do")]
fn every_vector() {
    let base = Instant::now();
    let store = LocalLimits::new(base);
    let run = std::pin::pin!(limit_vectors::run(&store, |at_us| limit_vectors::moment(base, at_us)));
    let polled = run.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(()), "nothing here has to be waited for");
}
