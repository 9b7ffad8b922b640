//! What only a restart brings into force stays as it was, so that the configuration in force is the one that is served.

use crate::config::{Config, Logging};

impl Config {
    /// Takes over from the configuration that a process was started with what it cannot change while it runs: what
    /// [`Difference::needs_restart`](crate::Difference::needs_restart) tells of.
    pub fn keep_fixed(&mut self, before: &Self) {
        let (server, kept) = (&mut self.server, &before.server);
        server.host.clone_from(&kept.host);
        server.port = kept.port;
        server.reuse_port = kept.reuse_port;
        server.workers = kept.workers;
        server.state_dir.clone_from(&kept.state_dir);
        server.header_timeout = kept.header_timeout;
        server.drain_timeout = kept.drain_timeout;
        if server.tls.is_some() != kept.tls.is_some() {
            server.tls.clone_from(&kept.tls);
        }
        self.admin.listen = before.admin.listen;
        self.store.clone_from(&before.store);
        self.redis.clone_from(&before.redis);
        self.logging = Logging { upstream_errors: self.logging.upstream_errors, ..before.logging };
    }
}
