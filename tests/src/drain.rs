//! The beginning of a drain, as far as it can be seen from outside.

use crate::stage::Stage;
use crate::wire::Wire;

/// Asks the gateway to stop, and waits until its connections know. Calls may go on. Panics if it cannot be asked.
pub async fn begin_drain(stage: &Stage) {
    let mut idle = Wire::open(stage.gateway.address()).await;
    idle.write("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    stage.gateway.terminate().expect("a process that can be signalled");
    stage.gateway.log_line(|line| line.contains("stopping"));
    // Idle connections are closed at once.
    assert_eq!(idle.rest().await, "");
}
