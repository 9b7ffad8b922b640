//! Whoever waits as long as a refusal says is let through. This is where waiting is what is tested.

use gateway_testing::Answer;
use gateway_tests::stage::{CALL, Stage};
use tokio::time::{Duration, sleep};

use super::scene::{asking, call, number, reporting, settled, stage};

/// No key here has to wait for longer.
const LONGEST: Duration = Duration::from_millis(600);

/// Calls until one is refused, which may take some where calls are slow.
async fn refused(stage: &Stage, name: &str, body: &str) -> Answer {
    for _ in 0..100 {
        let answer = settled(stage, name, body.to_owned()).await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("{name}: never refused");
}

/// Gives up after the wait that the refusal tells of, to the millisecond.
async fn is_let_through(stage: &Stage, name: &str, body: &str, refused: Answer) {
    let wait = Duration::from_millis(number(&refused, "retry-after-ms"));
    assert!(wait <= LONGEST, "{name}: {wait:?}");
    sleep(wait).await;
    let answer = call(stage, name, body.to_owned()).await;
    assert_eq!(answer.status, 200, "{name}: waited {wait:?}: {}", answer.text());
}

#[tokio::test]
async fn a_caller_who_waits_exactly_so_long_is_let_through() {
    let stage = stage(&[
        ("requests", "rate_limit: { limit: 2, period_seconds: 1 }"),
        ("tokens", "rate_limit: { tokens_per_minute: 600000 }"),
    ])
    .await;
    let some = asking(5_000);
    let by_requests = refused(&stage, "requests", CALL).await;
    stage.upstream.push(reporting(0, 600_000));
    assert_eq!(settled(&stage, "tokens", asking(600_000)).await.status, 200);
    stage.upstream.otherwise(|_| reporting(0, 5_000));
    let by_tokens = refused(&stage, "tokens", &some).await;
    tokio::join!(
        is_let_through(&stage, "requests", CALL, by_requests),
        is_let_through(&stage, "tokens", &some, by_tokens),
    );
}
