//! A database at the end of a line, both of which can fail.

use gateway_testing::PostgresServer;
use gateway_tests::line::{Line, Quality};

/// A server of a test's own, with one database.
pub(crate) struct Remote {
    server: PostgresServer,
    line: Line,
    /// The database without the line, for who changes it by hand.
    direct: String,
    /// The database behind the line, for gateways.
    pub(crate) url: String,
}

impl Remote {
    /// None, with a line that says so, where PostgreSQL is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let server = PostgresServer::start()?;
        let direct = server.create_database();
        let (url, line) = Line::of_url(&direct).await;
        Some(Self { server, line, direct, url })
    }

    /// Ends the server, and with it all connections.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again. Nobody is let in before it is ready.
    pub(crate) fn start_again(&mut self) {
        self.line.set(Quality::Cut);
        self.server.start_again();
        self.line.set(Quality::Good);
    }

    /// Lets nothing through any more, without telling anybody.
    pub(crate) fn fall_silent(&self) {
        self.line.set(Quality::Silent);
    }

    /// Lets new connections through. Those that were silent are lost.
    pub(crate) fn speak_again(&self) {
        self.line.set(Quality::Good);
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.server.execute(&self.direct, sql);
    }
}
