//! The question that decides about an account, and Redis's answer. `decide.lua` is the other half.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use gateway_ratelimit::{Bucket, BudgetWindow, Demand, Limits, Quota, RequestQuotas};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind};

use crate::ledger::{Money, Report, countable};
use crate::loss::Loss;

/// The script knows the same bound: no bucket reaches further ahead, in microseconds.
const FURTHEST: u64 = 1 << 52;

/// The place of the token quota among those of a call.
const TOKENS: usize = RequestQuotas::SLOTS;

/// How a question has been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Denied,
    Admitted,
    /// It asked for no call, and what it said was heard.
    Noted,
    /// It came after its deadline, and nothing was done.
    Late,
}

/// What Redis says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) verdict: Verdict,
    /// Redis's clock, in microseconds since the epoch.
    pub(crate) clock: u64,
    /// Calls in flight on all nodes.
    pub(crate) in_flight: u64,
    /// Money spent, and kept back for calls in flight, by all nodes.
    pub(crate) committed: u64,
    /// When this count of the money began; 0 if there is none.
    pub(crate) epoch: u64,
    /// What was stored of the account made no sense, and is forgotten.
    pub(crate) was_damaged: bool,
    /// The bucket of each request quota, at its place.
    pub(crate) requests: [Bucket; RequestQuotas::SLOTS],
    /// That of the tokens.
    pub(crate) tokens: Bucket,
}

/// What is said and asked of one account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The time to go by; Redis's own if none is given.
    pub(crate) now: Option<u64>,
    /// When the question is no longer worth an answer, by the same clock.
    pub(crate) deadline: Option<u64>,
    /// After how many microseconds without a word a node is dead.
    pub(crate) alive_for: u64,
    /// The name of this node.
    pub(crate) node: &'a str,
    /// What it has to say, if calls of this account have to be settled.
    pub(crate) report: Option<&'a Report>,
    /// What this node knows to be spent, at least, in the window of the report.
    pub(crate) base: u64,
    /// The call that is asked for, if any.
    pub(crate) call: Option<(&'a Limits, Demand)>,
}

/// `decide.lua`.
#[derive(Debug)]
pub(crate) struct DecideScript {
    script: Script,
}

impl DecideScript {
    pub(crate) fn new() -> Self {
        Self { script: Script::new(include_str!("decide.lua")) }
    }

    /// Has Redis load the script.
    pub(crate) async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), Loss> {
        self.script.load_async(connection).await.map(drop).map_err(Loss::Failed)
    }

    /// Asks about one account.
    pub(crate) async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        question: &Question<'_>,
    ) -> Result<Reply, Loss> {
        let command = self.command(key, question);
        let mut reply: RedisResult<Vec<i64>> = command.query_async(connection).await;
        if is_unknown(&reply) {
            self.load(connection).await?;
            reply = command.query_async(connection).await;
        }
        Reply::read(&reply.map_err(Loss::Failed)?).ok_or(Loss::Nonsense)
    }

    /// Says something of many accounts at once.
    pub(crate) async fn tell(
        &self,
        connection: &mut MultiplexedConnection,
        questions: &[(Arc<str>, Question<'_>)],
    ) -> Result<Vec<Reply>, Loss> {
        let mut pipeline = redis::pipe();
        for (key, question) in questions {
            pipeline.add_command(self.command(key, question));
        }
        let mut told: RedisResult<Vec<Vec<i64>>> = pipeline.query_async(connection).await;
        if is_unknown(&told) {
            self.load(connection).await?;
            told = pipeline.query_async(connection).await;
        }
        let told = told.map_err(Loss::Failed)?;
        let replies: Option<Vec<_>> = told.iter().map(|numbers| Reply::read(numbers)).collect();
        replies.filter(|replies| replies.len() == questions.len()).ok_or(Loss::Nonsense)
    }

    fn command(&self, key: &str, question: &Question<'_>) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script.get_hash()).arg(1).arg(key).arg(question.to_string());
        command
    }
}

/// Whether Redis has forgotten the script, and so has done nothing.
fn is_unknown<T>(reply: &RedisResult<T>) -> bool {
    reply.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

impl Reply {
    fn read(numbers: &[i64]) -> Option<Self> {
        let mut numbers = numbers.iter().map(|&number| u64::try_from(number).ok());
        let verdict = match numbers.next()?? {
            0 => Verdict::Denied,
            1 => Verdict::Admitted,
            2 => Verdict::Noted,
            3 => Verdict::Late,
            _ => return None,
        };
        let clock = numbers.next()??;
        let mut or_none = || numbers.next().unwrap_or(Some(0));
        let (in_flight, committed, epoch) = (or_none()?, or_none()?, or_none()?);
        let was_damaged = or_none()? != 0;
        let mut buckets = [Bucket::default(); RequestQuotas::SLOTS + 1];
        for bucket in &mut buckets {
            *bucket = Bucket::until(or_none()?);
        }
        let [requests @ .., tokens] = buckets;
        Some(Self { verdict, clock, in_flight, committed, epoch, was_damaged, requests, tokens })
    }
}

/// The question as JSON. Names are of this crate's making and need no escaping.
impl fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"alive_for":{}"#, self.alive_for)?;
        for (name, value) in [("now", self.now), ("deadline", self.deadline)] {
            write_some(f, name, value)?;
        }
        if let Some(report) = self.report {
            write_report(f, self.node, report)?;
            write_money(f, report, self.base)?;
        }
        if let Some((limits, demand)) = self.call {
            write_call(f, limits, demand)?;
        }
        f.write_char('}')
    }
}

fn write_some(f: &mut fmt::Formatter<'_>, name: &str, value: Option<u64>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, r#","{name}":{value}"#))
}

fn write_report(f: &mut fmt::Formatter<'_>, node: &str, report: &Report) -> fmt::Result {
    let Report { sequence, generation, in_flight, awaited, tokens, totals, confirmed, settled_at, .. } = report;
    write!(f, r#","node":{{"id":"{node}","sequence":{sequence},"generation":{generation}"#)?;
    write!(f, r#","in_flight":{in_flight},"awaited":{awaited}"#)?;
    write_some(f, "settled_at", *settled_at)?;
    let counters = [
        ("ended", totals.ended, confirmed.ended),
        ("given_back", totals.given_back, confirmed.given_back),
        ("owed", totals.owed, confirmed.owed),
        ("released", totals.released, confirmed.released),
        ("spent", totals.spent, confirmed.spent),
    ];
    for (name, total, confirmed) in counters {
        write!(f, r#","{name}":[{total},{confirmed}]"#)?;
    }
    if let Some(quota) = tokens {
        f.write_str(r#","tokens":{"#)?;
        write_rate(f, TOKENS, quota)?;
        f.write_char('}')?;
    }
    f.write_char('}')
}

fn write_money(f: &mut fmt::Formatter<'_>, report: &Report, base: u64) -> fmt::Result {
    let Some(money) = report.money else { return Ok(()) };
    let BudgetWindow { period, start } = money.window;
    write!(f, r#","money":{{"period":"{period}","start":{}"#, start.as_microsecond())?;
    let Money { reserved, awaited, epoch, .. } = money;
    write!(f, r#","reserved":{reserved},"awaited":{awaited},"epoch":{epoch},"base":{base}"#)?;
    if let Some(end) = money.window.end() {
        write!(f, r#","ends":{}"#, end.as_microsecond())?;
    }
    f.write_char('}')
}

fn write_call(f: &mut fmt::Formatter<'_>, limits: &Limits, demand: Demand) -> fmt::Result {
    write!(f, r#","call":{{"cost":{}"#, countable(demand.cost.0))?;
    write_some(f, "max_concurrent", limits.max_concurrent.map(u64::from))?;
    write_some(f, "budget", limits.budget.map(|budget| budget.limit.0))?;
    f.write_str(r#","quotas":["#)?;
    let slots = limits.requests.slots().iter().zip(std::iter::repeat(1)).chain([(&limits.tokens, demand.tokens)]);
    let quotas = slots.enumerate().filter_map(|(slot, (quota, units))| Some((slot, quota.as_ref()?, units)));
    for (number, (slot, quota, units)) in quotas.enumerate() {
        f.write_str(if number == 0 { "{" } else { ",{" })?;
        write_rate(f, slot, quota)?;
        // What is cut off is more than there ever is.
        let (units, cost) = (units.min(FURTHEST), quota.time_of(units).min(FURTHEST + 1));
        write!(f, r#","amount":{units},"cost":{cost}}}"#)?;
    }
    f.write_str("]}")
}

/// A quota and its place, that of the tokens being behind those of requests. A rate is called by what makes it another one.
fn write_rate(f: &mut fmt::Formatter<'_>, slot: usize, quota: &Quota) -> fmt::Result {
    let kind = if slot == TOKENS { "t:" } else { "r:" };
    let (limit, period, burst) = (quota.limit(), quota.period().as_micros(), quota.burst());
    let (micros, units) = quota.pace();
    let capacity = quota.capacity().min(FURTHEST);
    write!(f, r#""kind":"{kind}","slot":{slot},"rate":"{limit}:{period}:{burst}""#)?;
    write!(f, r#","micros":{micros},"units":{units},"capacity":{capacity}"#)
}

#[cfg(test)]
mod tests;
