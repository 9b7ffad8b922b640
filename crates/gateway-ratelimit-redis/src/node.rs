//! This node among those that share a Redis: what it asks, what it says, and what it does if there is no answer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_ratelimit::{Denial, LimitStore, LocalLimits, Moment, NanoUsd, Origin, Reservation, Standing, Taken, Used};
use redis::Client;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::alone::{Alone, unavailable};
use crate::connection::{Link, Session};
use crate::ledger::{Awaited, EndedTokens, Ending, Ledger, Report, Resolution, countable};
use crate::loss::Loss;
use crate::refusals::Refusals;
use crate::request::{Request, needs_settling};
use crate::roll::RollScript;
use crate::script::{DecideScript, Question, Reply, Verdict};
use crate::settings::{Clock, OnError, RedisSettings, RedisSettingsError};

/// How often Redis is asked the same if it says that it was asked too long ago.
const ATTEMPTS: u32 = 2;

/// A node: everything that calls and the background task share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) settings: RedisSettings,
    pub(crate) client: Client,
    /// Another one each time the gateway is started, so that what was in flight before is not taken for its own.
    pub(crate) name: String,
    pub(crate) link: Link,
    pub(crate) ledger: Ledger,
    pub(crate) alone: Alone,
    pub(crate) refusals: Refusals,
    pub(crate) decide: DecideScript,
    pub(crate) roll: RollScript,
    /// The time of the last call, where the clock is the callers'.
    caller_clock: AtomicU64,
}

impl Node {
    pub(crate) fn new(settings: RedisSettings) -> Result<Self, RedisSettingsError> {
        let client = settings.client()?;
        // Without random numbers, the process is at least another than all that run now.
        let name = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        Ok(Self {
            client,
            name: format!("{name:016x}"),
            link: Link::new(settings.on_error),
            ledger: Ledger::new(),
            alone: Alone::new(LocalLimits::new(Instant::now().into_std())),
            refusals: Refusals::default(),
            decide: DecideScript::new(),
            roll: RollScript::new(),
            caller_clock: AtomicU64::new(0),
            settings,
        })
    }

    /// Decides about a call, in Redis if that answers in time.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        session: Arc<Session>,
        request: Request<'_>,
    ) -> Result<Reservation, Denial> {
        let Request { demand, at, .. } = request;
        let (key, limits) = (Arc::clone(request.key), Arc::clone(request.limits));
        let (node, asked) = (Arc::clone(self), Arc::clone(&session));
        // On the thread of the connection what comes back is heard, and time is measured, while the call waits for its turn
        // among thousands; and whoever is gone by then has nothing taken for it.
        let decided = session.spawn(async move {
            let request = Request { key: &key, limits: &limits, demand, at };
            let decision = node.decide_in_redis(&asked, &request).await?;
            Ok(Delivery { node: Arc::clone(&node), decision: Some(decision), at })
        });
        // An error says that the thread has ended.
        match decided.await.unwrap_or(Err(Loss::Timeout)) {
            Ok(delivery) => delivery.take(),
            Err(loss) => {
                self.link.lose(&session, &loss);
                self.reserve_alone(request)
            }
        }
    }

    async fn decide_in_redis(
        &self,
        session: &Session,
        request: &Request<'_>,
    ) -> Result<Result<Reservation, Denial>, Loss> {
        let awaited = needs_settling(request.limits).then(|| {
            let cost = countable(request.demand.cost.0);
            self.ledger.ask(request.key, cost, request.window())
        });
        let report = awaited.as_ref().map(Awaited::report);
        let reply = self.heard(session, self.ask(session, request, report)).await?;
        Ok(self.conclude(request, &reply, awaited))
    }

    /// Whether no call is let through without Redis.
    pub(crate) fn check_alone(&self) -> Result<(), Denial> {
        match self.settings.on_error {
            OnError::Deny => Err(unavailable()),
            OnError::Local => Ok(()),
        }
    }

    /// Decides about a call without Redis.
    pub(crate) fn reserve_alone(&self, request: Request<'_>) -> Result<Reservation, Denial> {
        let Request { key, limits, demand, .. } = request;
        self.check_alone()?;
        let in_flight = self.ledger.admitted_by_redis(key);
        let reservation = self.alone.reserve(&request, in_flight)?;
        if needs_settling(limits) {
            self.ledger.admit_alone(key, countable(demand.cost.0), reservation.taken().window);
        }
        Ok(reservation)
    }

    /// Ends a call where it was let through.
    pub(crate) fn settle(&self, reservation: Reservation, used: Used, at: Moment) {
        let is_redis = reservation.origin() == Origin::Shared;
        let (key, limits, Taken { demand, window }) = (reservation.key(), reservation.limits(), reservation.taken());
        self.note_time(at);
        if needs_settling(limits) {
            let tokens = limits.tokens.filter(|_| is_redis);
            let tokens = tokens.map(|quota| EndedTokens { quota, taken: demand.tokens, used: used.tokens });
            self.ledger.end(
                key,
                Ending {
                    was_admitted_by_redis: is_redis,
                    window,
                    cost: countable(demand.cost.0),
                    spent: countable(used.cost.0),
                    tokens,
                    at: self.clock_in(Duration::ZERO),
                },
            );
        }
        if !is_redis {
            self.alone.local.settle(reservation, used, at);
        } else if let Some(window) = window
            && used.cost > NanoUsd(0)
        {
            // It is the book that has it recorded, wherever the call was let through.
            self.alone.local.spend(key, window, used.cost);
        }
    }

    /// Forgets what no longer matters.
    pub(crate) fn sweep(&self, at: Moment) {
        self.alone.sweep(at);
        self.ledger.sweep(at.wall);
        self.refusals.sweep(at.now);
    }

    /// Says something of many accounts.
    pub(crate) async fn tell(&self, session: &Session, reports: &[(Arc<str>, Report)]) -> Result<Vec<Reply>, Loss> {
        let now = self.caller_time();
        let questions: Vec<_> = reports
            .iter()
            .map(|(key, report)| (self.key_of(key), Question { now, ..self.question(key, Some(report)) }))
            .collect();
        let replies = self.decide.tell(&mut session.connection(), &questions).await?;
        for ((key, _), reply) in reports.iter().zip(&replies) {
            warn_of_damage(key, reply);
        }
        Ok(replies)
    }

    /// Waits for an answer until there is none to be expected, which the keeper judges for all questions together: it is told
    /// that there is doubt, in time for Redis to be given up after the timeout.
    async fn heard(&self, session: &Session, asked: impl Future<Output = Result<Reply, Loss>>) -> Result<Reply, Loss> {
        let mut asked = pin!(asked);
        loop {
            tokio::select! {
                biased;
                reply = &mut asked => return reply,
                () = session.ended() => return Err(Loss::Timeout),
                () = sleep(self.settings.timeout / 2) => session.doubted.notify_one(),
            }
        }
    }

    async fn ask(&self, session: &Session, request: &Request<'_>, report: Option<&Report>) -> Result<Reply, Loss> {
        self.note_time(request.at);
        let (key, now) = (self.key_of(request.key), self.caller_time());
        let (mut connection, began) = (session.connection(), Instant::now());
        for _ in 0..ATTEMPTS {
            // What arrives late is not decided at all: by then this node has decided by itself. It is twice the time, as what
            // is known of Redis's clock may be one behind.
            let deadline = now.is_none().then(|| self.link.clock_in(2 * self.settings.timeout)).flatten();
            let question = Question {
                now,
                deadline,
                call: Some((request.limits, request.demand)),
                ..self.question(request.key, report)
            };
            let reply = self.decide.ask(&mut connection, &key, &question).await?;
            self.link.note_clock(reply.clock);
            warn_of_damage(request.key, &reply);
            if reply.verdict != Verdict::Late {
                return Ok(reply);
            }
            if began.elapsed() >= self.settings.timeout {
                break;
            }
            // Its clock was set forward. Now it is known, and nothing has been done, so the question can be asked again.
        }
        // It is slow, however steadily it answers.
        Err(Loss::Timeout)
    }

    fn conclude(
        &self,
        request: &Request<'_>,
        reply: &Reply,
        awaited: Option<Awaited<'_>>,
    ) -> Result<Reservation, Denial> {
        let is_admitted = reply.verdict == Verdict::Admitted;
        let window = awaited.as_ref().and_then(Awaited::window);
        if let Some(window) = window {
            self.alone.note_committed(request.key, window, reply.committed);
        }
        if let Some(awaited) = awaited {
            awaited.resolve(if is_admitted { Resolution::Admitted } else { Resolution::Denied }, reply.epoch);
        }
        let Request { key, limits, demand, at } = *request;
        let standing = Standing {
            limits,
            demand,
            requests: reply.requests,
            tokens: reply.tokens,
            now: reply.clock,
            in_flight: reply.in_flight,
            committed: NanoUsd(reply.committed),
        };
        if is_admitted {
            let taken = Taken { demand, window };
            return Ok(Reservation::new(Arc::clone(key), Arc::clone(limits), taken, standing.levels(), Origin::Shared));
        }
        // Redis refuses nothing without a reason that is found here as well.
        let denial = standing.check(at.wall).err().unwrap_or_else(unavailable);
        self.refusals.note(key, limits, &denial, Instant::now().into_std());
        Err(denial)
    }

    /// A question that asks for nothing yet.
    fn question<'a>(&'a self, key: &str, report: Option<&'a Report>) -> Question<'a> {
        let window = report.and_then(|report| report.money).map(|money| money.window);
        Question {
            now: None,
            deadline: None,
            alive_for: micros(self.settings.alive_for()),
            node: &self.name,
            report,
            base: window.map_or(0, |window| self.alone.local.spent(key, window).0),
            call: None,
        }
    }

    /// The one key of an account. Braces make the account the part that a cluster goes by; the number is that of the format.
    fn key_of(&self, account: &str) -> Arc<str> {
        format!("{}limits:1:{{{account}}}", self.settings.prefix).into()
    }

    fn note_time(&self, at: Moment) {
        let micros = u64::try_from(at.wall.as_microsecond()).unwrap_or(0);
        self.caller_clock.store(micros, Ordering::Relaxed);
    }

    fn caller_time(&self) -> Option<u64> {
        (self.settings.clock == Clock::Caller).then(|| self.caller_clock.load(Ordering::Relaxed))
    }

    fn clock_in(&self, wait: Duration) -> Option<u64> {
        self.caller_time().or_else(|| self.link.clock_in(wait))
    }
}

/// What Redis has decided, on its way to the call. If that is gone, what was taken for it is given back.
struct Delivery {
    node: Arc<Node>,
    decision: Option<Result<Reservation, Denial>>,
    at: Moment,
}

impl Delivery {
    fn take(mut self) -> Result<Reservation, Denial> {
        // It is taken once, as this takes all of it.
        self.decision.take().unwrap_or_else(|| Err(unavailable()))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(Ok(reservation)) = self.decision.take() {
            self.node.settle(reservation, Used::default(), self.at);
        }
    }
}

/// It concerns one account, whose counts begin anew, and nobody else.
fn warn_of_damage(account: &str, reply: &Reply) {
    if reply.was_damaged {
        warn!(account, "what Redis had of an account was damaged: it is forgotten, and counted anew");
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
