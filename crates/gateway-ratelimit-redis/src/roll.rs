//! The list of nodes that are alive: how many there are is what a node goes by when Redis is gone.

use redis::Script;
use redis::aio::MultiplexedConnection;

use crate::loss::Loss;

/// Lists a node, or strikes it off, and counts. `KEYS`: the list. `ARGV`: the node, whether it is there, and for how many
/// microseconds a node counts as alive.
const ROLL: &str = "
local clock = redis.call('TIME')
local now, alive_for = clock[1] * 1000000 + clock[2], tonumber(ARGV[3])
local is_new = 0
if ARGV[2] == '1' then
  is_new = redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - alive_for))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(alive_for / 1000)))
return { now, redis.call('ZCARD', KEYS[1]), is_new }
";

/// The script that calls the roll.
#[derive(Debug)]
pub(crate) struct RollScript {
    script: Script,
}

/// A node on the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    pub(crate) list: &'a str,
    pub(crate) node: &'a str,
    /// In microseconds.
    pub(crate) alive_for: u64,
}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roll {
    /// Redis's clock, in microseconds since the epoch.
    pub(crate) clock: u64,
    /// The nodes that are alive.
    pub(crate) nodes: u32,
    /// This one was not among them: it is new, was silent for long, or Redis has forgotten it.
    pub(crate) is_new: bool,
}

impl RollScript {
    pub(crate) fn new() -> Self {
        Self { script: Script::new(ROLL) }
    }

    /// Has Redis load the script.
    pub(crate) async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), Loss> {
        self.script.load_async(connection).await.map(drop).map_err(Loss::Failed)
    }

    /// Lists a node, or strikes it off, and counts.
    pub(crate) async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        listed: Listed<'_>,
        is_there: bool,
    ) -> Result<Roll, Loss> {
        let mut invocation = self.script.key(listed.list);
        invocation.arg(listed.node).arg(u8::from(is_there)).arg(listed.alive_for);
        let (clock, nodes, is_new): (u64, u32, bool) =
            invocation.invoke_async(connection).await.map_err(Loss::Failed)?;
        Ok(Roll { clock, nodes, is_new })
    }
}
