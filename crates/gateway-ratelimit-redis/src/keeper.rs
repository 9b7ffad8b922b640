//! The one task of a node: connects, says that the node is alive, tells Redis how calls have ended, and judges whether Redis
//! still answers.
//!
//! That judgement is made here and nowhere else, for all questions together: who has waited for half of the timeout says that
//! there is doubt, and then Redis is asked behind all questions that were asked before. Whoever gets that answer has all of
//! theirs as well.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::connection::Session;
use crate::loss::Loss;
use crate::node::{Node, micros};
use crate::roll::Listed;

/// The first wait between two attempts to connect; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// The longest, which is also how long a connection has to hold before it counts as a good one, and is told of.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Reports that are sent at once: Redis is busy with them for a few milliseconds at most, and decisions wait so long.
const REPORTS: usize = 64;

/// How long Redis may take to load the scripts of a new connection.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Time is waited for in steps of this, see [`in_turns`].
const TURN: Duration = Duration::from_millis(1);

/// So many halves of the timeout is Redis waited for at most because it has answered others meanwhile: it is busy rather than
/// gone, but calls are not to wait for long: with the usual timeout, for a tenth of a second.
const MOST_HALVES: u32 = 3;

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

    /// Connects, says so, and runs until it is told to stop.
    pub(crate) async fn run(mut self, connected: oneshot::Sender<()>, stopping: oneshot::Receiver<()>) {
        let node = Arc::clone(&self.node);
        let keep = async {
            self.connect().await;
            // Whoever asked for it may have lost interest.
            let _ = connected.send(());
            self.keep().await;
        };
        tokio::select! {
            // An error says that it is not to be told but dropped, which it will be.
            _ = stopping => {}
            () = keep => {}
        }
        // Whoever waits for the end does not wait for long; what cannot be told by then is lost with the process.
        let _ = timeout(FAREWELL, self.say_goodbye()).await;
        node.link.close();
    }

    /// Tries to connect, once.
    async fn connect(&self) {
        match self.open().await {
            Ok(session) => {
                self.node.link.establish(session);
                self.node.ledger.repeat_in_use();
            }
            Err(loss) => self.node.link.miss(&loss),
        }
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
        tokio::select! {
            () = session.ended() => {}
            loss = self.watch(session) => self.node.link.lose(session, &loss),
            loss = self.report(session) => self.node.link.lose(session, &loss),
            () = self.announce(session) => {}
        }
        if session.age() >= LONGEST_WAIT {
            self.wait = FIRST_WAIT;
        }
    }

    /// Says that the node is alive, and asks whether Redis is, until it is not.
    async fn watch(&self, session: &Session) -> Loss {
        let mut heartbeat = interval(self.node.settings.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let checked = tokio::select! {
                () = session.doubted.notified() => {
                    // Half of the time has passed.
                    self.hear_roll(session, Instant::now().checked_sub(self.node.settings.timeout / 2)).await
                }
                _ = heartbeat.tick() => self.beat(session).await,
            };
            if let Err(loss) = checked {
                return loss;
            }
        }
    }

    /// Says that Redis is back, once the connection has held for a while; then does nothing, for ever.
    async fn announce(&self, session: &Arc<Session>) {
        sleep(LONGEST_WAIT.saturating_sub(session.age())).await;
        self.node.link.announce(session);
        pending::<()>().await;
    }

    /// Tells Redis how calls have ended, until it does not listen.
    async fn report(&self, session: &Session) -> Loss {
        loop {
            self.node.ledger.news.notified().await;
            if let Err(loss) = self.tell_some(session).await {
                return loss;
            }
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
        in_turns(LOAD_TIMEOUT, load).await.unwrap_or(Err(Loss::Timeout))?;
        in_turns(self.node.settings.timeout, self.call_roll(&session, true)).await.unwrap_or(Err(Loss::Timeout))?;
        Ok(session)
    }

    /// Says that the node is alive, and what it has in flight.
    async fn beat(&self, session: &Session) -> Result<(), Loss> {
        self.hear_roll(session, None).await?;
        self.node.ledger.repeat_in_use();
        Ok(())
    }

    /// Has Redis call the roll, behind all that was asked before, and waits as long as Redis is not silent for all of the
    /// timeout, which begins at `before`, or now.
    async fn hear_roll(&self, session: &Session, mut before: Option<Instant>) -> Result<(), Loss> {
        let mut answer = pin!(self.call_roll(session, true));
        for _ in 0..MOST_HALVES {
            let now = Instant::now();
            if let Some(answer) = in_turns(self.node.settings.timeout / 2, &mut answer).await {
                return answer;
            }
            if before.is_some_and(|before| !self.node.link.was_heard_since(before)) {
                break;
            }
            before = Some(now);
        }
        Err(Loss::Timeout)
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
        // However long it takes: whether Redis is there at all is looked after elsewhere.
        let replies = self.node.tell(session, batch.reports()).await?;
        batch.confirm(replies.iter().map(|reply| reply.epoch).collect());
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

/// Waits for an answer for so long, of the time in which this thread has its turns: where the machine is so busy that it has
/// to wait for them, so has Redis. None if there is no answer.
async fn in_turns<T>(limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    let mut waited = Duration::ZERO;
    while waited < limit {
        let began = Instant::now();
        if let Ok(answer) = timeout(TURN, &mut answer).await {
            return Some(answer);
        }
        // What the socket has got meanwhile is read first.
        yield_now().await;
        waited += began.elapsed().min(2 * TURN);
    }
    timeout(Duration::ZERO, answer).await.ok()
}
