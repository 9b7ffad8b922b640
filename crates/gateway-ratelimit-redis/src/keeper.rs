//! The one task of a node: connects, says that the node is alive, and tells Redis how calls have ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::connection::{Loss, Session};
use crate::node::{Node, micros};
use crate::roll::Listed;

/// The first wait between two attempts to connect; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// The longest, which is also how long a connection has to hold before it counts as a good one.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Reports that are sent at once: Redis is busy with them for a few milliseconds at most, and decisions wait so long.
const REPORTS: usize = 64;

/// How long Redis may take for them, unless decisions may take longer.
const REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long Redis may take to load the scripts of a new connection.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a node that ends tries to tell what it has to say.
const FAREWELL: Duration = Duration::from_secs(2);

/// Keeps a node's connection until the node ends.
#[derive(Debug)]
pub(crate) struct Keeper {
    node: Arc<Node>,
    wait: Duration,
}

impl Keeper {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, wait: FIRST_WAIT }
    }

    /// Tries to connect, once.
    pub(crate) async fn connect(&self) {
        match self.open().await {
            Ok(session) => {
                self.node.link.establish(session);
                self.node.ledger.repeat_in_use();
            }
            Err(loss) => self.node.link.miss(&loss),
        }
    }

    /// Runs until the node ends.
    pub(crate) async fn run(mut self) {
        let node = Arc::clone(&self.node);
        tokio::select! {
            () = node.closing.notified() => {}
            () = self.keep() => {}
        }
        // Whoever waits for the end does not wait for long; what cannot be told by then is lost with the process.
        let _ = timeout(FAREWELL, self.say_goodbye()).await;
        node.link.close();
    }

    async fn keep(&mut self) {
        loop {
            match self.node.link.session() {
                Some(session) => self.serve(&session).await,
                None => self.reconnect().await,
            }
        }
    }

    /// Keeps a connection until it is lost.
    async fn serve(&mut self, session: &Arc<Session>) {
        let mut heartbeat = interval(self.node.settings.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = self.node.link.lost.notified() => Ok(()),
                _ = heartbeat.tick() => self.beat(session).await,
                () = self.node.ledger.news.notified() => self.tell_some(session).await.map(drop),
            };
            if let Err(loss) = done {
                self.node.link.lose(session, &loss);
            }
            let is_lost = self.node.link.session().is_none_or(|current| !Arc::ptr_eq(&current, session));
            if is_lost {
                break;
            }
        }
        if session.age() >= LONGEST_WAIT {
            self.wait = FIRST_WAIT;
        }
    }

    async fn reconnect(&mut self) {
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.connect().await;
    }

    /// A connection that is worth the name: the server has the scripts, can be written to, and answers as soon as decisions
    /// need it.
    async fn open(&self) -> Result<Session, Loss> {
        let session = Session::open(&self.node.client).await?;
        let load = async {
            self.node.decide.load(&mut session.connection()).await?;
            self.node.roll.load(&mut session.connection()).await
        };
        in_time(LOAD_TIMEOUT, load).await?;
        in_time(self.node.settings.timeout, self.call_roll(&session, true)).await?;
        Ok(session)
    }

    /// Says that the node is alive, and what it has in flight.
    async fn beat(&self, session: &Session) -> Result<(), Loss> {
        in_time(self.node.settings.timeout, self.call_roll(session, true)).await?;
        self.node.ledger.repeat_in_use();
        Ok(())
    }

    async fn call_roll(&self, session: &Session, is_there: bool) -> Result<(), Loss> {
        let node = &self.node;
        let list = format!("{}{{nodes}}", node.settings.prefix);
        let listed = Listed { list: &list, node: &node.name, alive_for: micros(node.settings.alive_for()) };
        let roll = node.roll.call(&mut session.connection(), listed, is_there).await?;
        node.link.note_clock(roll.clock);
        // A Redis that has just come back empty does not know yet of those that have not connected again.
        if roll.is_new {
            node.ledger.repeat_all();
        }
        let is_complete = session.age() > node.settings.alive_for();
        node.alone.note_nodes(if is_complete { roll.nodes } else { roll.nodes.max(node.alone.nodes()) });
        Ok(())
    }

    /// Tells Redis what is due, up to a limit, and comes back if there is more. Returns how much it was.
    async fn tell_some(&self, session: &Session) -> Result<usize, Loss> {
        let batch = self.node.ledger.due(REPORTS);
        let told = batch.reports().len();
        if told == 0 {
            return Ok(0);
        }
        let answers =
            in_time(REPORT_TIMEOUT.max(self.node.settings.timeout), self.node.tell(session, batch.reports())).await?;
        batch.confirm(answers.iter().map(|answer| answer.epoch).collect());
        if told == REPORTS {
            self.node.ledger.news.notify_one();
        }
        Ok(told)
    }

    async fn say_goodbye(&self) {
        let Some(session) = self.node.link.session() else { return };
        while self.tell_some(&session).await.is_ok_and(|told| told > 0) {}
        // The list forgets the node by itself if this fails.
        let _ = self.call_roll(&session, false).await;
    }
}

async fn in_time<T>(limit: Duration, answer: impl Future<Output = Result<T, Loss>>) -> Result<T, Loss> {
    timeout(limit, answer).await.unwrap_or(Err(Loss::Timeout))
}
