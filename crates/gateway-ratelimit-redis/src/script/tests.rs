use std::collections::VecDeque;

use gateway_ratelimit::{Budget, BudgetPeriod, NanoUsd, RateLimit};
use gateway_testing::RedisServer;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::ledger::{EndedTokens, Ending, Ledger, Resolution};

const NOW: u64 = 1_800_000_000_000_000;

fn limits() -> Limits {
    let rate_limit = RateLimit {
        requests_per_second: Some(3),
        burst_size: Some(5),
        requests_per_minute: Some(7),
        limit: Some(9),
        period_seconds: Some(60),
        tokens_per_minute: Some(1_000_000),
        max_concurrent: Some(1_000),
    };
    rate_limit.limits(Some(Budget { limit: NanoUsd(1_000_000), period: BudgetPeriod::Day })).unwrap()
}

fn question(node: &str) -> Question<'_> {
    Question { now: Some(NOW), deadline: None, alive_for: 5_000_000, node, report: None, base: 0, call: None }
}

#[test]
fn a_question_is_json_that_the_script_reads() {
    let limits = limits();
    let ledger = Ledger::new();
    let awaited = ledger.ask(&Arc::from("a"), 8, Some(BudgetPeriod::Day.window(Timestamp::UNIX_EPOCH)));
    let demand = Demand { tokens: 3, cost: NanoUsd(8) };
    let full = Question {
        deadline: Some(NOW + 1),
        report: Some(awaited.report()),
        base: 5,
        call: Some((&limits, demand)),
        ..question("n")
    };
    let expected = concat!(
        r#"{"alive_for":5000000,"now":1800000000000000,"deadline":1800000000000001,"#,
        r#""node":{"id":"n","sequence":1,"generation":1,"in_flight":0,"awaited":0,"#,
        r#""ended":[0,0],"given_back":[0,0],"owed":[0,0],"released":[0,0],"spent":[0,0]},"#,
        r#""money":{"period":"day","start":0,"reserved":0,"awaited":0,"epoch":0,"base":5,"ends":86400000000},"#,
        r#""call":{"cost":8,"max_concurrent":1000,"budget":1000000,"quotas":["#,
        r#"{"kind":"r:","slot":0,"rate":"3:1000000:5","micros":333334,"units":1,"capacity":1666670,"amount":1,"cost":333334},"#,
        r#"{"kind":"r:","slot":1,"rate":"7:60000000:7","micros":8571429,"units":1,"capacity":60000003,"amount":1,"cost":8571429},"#,
        r#"{"kind":"r:","slot":2,"rate":"9:60000000:9","micros":6666667,"units":1,"capacity":60000003,"amount":1,"cost":6666667},"#,
        r#"{"kind":"t:","slot":3,"rate":"1000000:60000000:1000000","micros":60000000,"units":1000000,"capacity":60000000,"amount":3,"cost":180}]}}"#,
    );
    assert_eq!(full.to_string(), expected);
    assert_eq!(question("n").to_string(), r#"{"alive_for":5000000,"now":1800000000000000}"#);
}

#[test]
fn replies_are_read_or_refused() {
    let reply = Reply::read(&[1, 10, 2, 3, 9, 0, 4, 0, 0, 5]).unwrap();
    assert_eq!(reply.verdict, Verdict::Admitted);
    assert_eq!((reply.clock, reply.in_flight, reply.committed, reply.epoch), (10, 2, 3, 9));
    assert_eq!((reply.was_damaged, reply.requests[0], reply.tokens), (false, Bucket::until(4), Bucket::until(5)));
    assert!(Reply::read(&[1, 10, 2, 3, 9, 1]).unwrap().was_damaged);
    assert_eq!(Reply::read(&[3, 10]).unwrap().verdict, Verdict::Late);
    for nonsense in [&[][..], &[1], &[7, 1], &[1, -1], &[1, 1, 1, 1, 1, 0, -1]] {
        assert_eq!(Reply::read(nonsense), None, "{nonsense:?}");
    }
}

/// What another node sees of an account, which takes a place itself.
async fn seen(script: &DecideScript, connection: &mut MultiplexedConnection, key: &Arc<str>, limits: &Limits) -> Reply {
    let ledger = Ledger::new();
    let awaited = ledger.ask(key, 0, Some(window()));
    let call = Some((limits, Demand::default()));
    let question = Question { report: Some(awaited.report()), call, ..question("another") };
    script.ask(connection, key, &question).await.unwrap()
}

fn ending(cost: u64, spent: u64) -> Ending {
    Ending { was_admitted_by_redis: true, window: Some(window()), cost, spent, tokens: None, at: None }
}

fn window() -> BudgetWindow {
    BudgetPeriod::Day.window(Timestamp::from_microsecond(NOW.cast_signed()).unwrap())
}

#[tokio::test]
async fn a_call_that_ends_makes_room_while_others_are_awaited() {
    let Some(server) = RedisServer::start() else { return };
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let (script, ledger, key) = (DecideScript::new(), Ledger::new(), Arc::from("a"));
    let limits = Limits { requests: RequestQuotas::default(), ..limits() };
    let first = ledger.ask(&key, 7, Some(window()));
    let call = Some((&limits, Demand { tokens: 0, cost: NanoUsd(7) }));
    let question = Question { report: Some(first.report()), call, ..question("n") };
    assert_eq!(script.ask(&mut connection, &key, &question).await.unwrap().verdict, Verdict::Admitted);
    first.resolve(Resolution::Admitted, 0);
    // Redis may have let this one through, so its place alone says nothing.
    let _awaited = ledger.ask(&key, 7, Some(window()));
    let ending =
        Ending { was_admitted_by_redis: true, window: Some(window()), cost: 7, spent: 5, tokens: None, at: None };
    ledger.end(&key, ending);
    for (key, report) in ledger.due(1).reports() {
        let question = Question { report: Some(report), ..self::question("n") };
        assert_eq!(script.ask(&mut connection, key, &question).await.unwrap().verdict, Verdict::Noted);
    }
    let answer = seen(&script, &mut connection, &key, &limits).await;
    assert_eq!((answer.in_flight, answer.committed), (0, 5));
}

#[tokio::test]
async fn a_node_that_was_forgotten_for_its_silence_is_not_counted_twice() {
    let Some(server) = RedisServer::start() else { return };
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let (script, ledger, key) = (DecideScript::new(), Ledger::new(), Arc::from("a"));
    let limits = Limits { requests: RequestQuotas::default(), ..limits() };
    ledger.admit_alone(&key, 7, Some(window()));
    ledger.end(&key, Ending { was_admitted_by_redis: false, ..ending(7, 5) });
    let batch = ledger.due(1);
    let said = Question { report: Some(&batch.reports()[0].1), ..question("n") };
    let epoch = script.ask(&mut connection, &key, &said).await.unwrap().epoch;
    batch.confirm(vec![epoch]);
    // An hour later, somebody else's question finds that it has been silent.
    let later = Question { now: Some(NOW + 3_600_000_000), ..question("another") };
    let stranger = Ledger::new();
    let awaited = stranger.ask(&key, 0, Some(window()));
    let asked = Question { report: Some(awaited.report()), call: Some((&limits, Demand::default())), ..later };
    assert_eq!(script.ask(&mut connection, &key, &asked).await.unwrap().committed, 5);
    let is_known: bool = redis::cmd("HEXISTS").arg(&*key).arg("n:n").query_async(&mut connection).await.unwrap();
    assert!(!is_known);
    ledger.repeat_all();
    let batch = ledger.due(1);
    let said = Question { now: later.now, report: Some(&batch.reports()[0].1), ..question("n") };
    assert_eq!(script.ask(&mut connection, &key, &said).await.unwrap().committed, 5);
}

/// What happens to a node's calls, and to what it says of them.
#[derive(Debug, Clone)]
enum Step {
    Ask {
        tokens: u64,
        cost: u64,
        is_answer_lost: bool,
    },
    End {
        tokens: u64,
        cost: u64,
    },
    /// A report arrives so many times, and once more after the next ones.
    Tell {
        times: usize,
        again: bool,
        is_confirmed: bool,
    },
    /// A report that was on its way for long arrives.
    Overtaken,
    /// Redis is empty.
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..100_u64, 0..100_u64, prop::bool::weighted(0.2))
            .prop_map(|(tokens, cost, is_answer_lost)| Step::Ask { tokens, cost, is_answer_lost }),
        3 => (0..200_u64, 0..200_u64).prop_map(|(tokens, cost)| Step::End { tokens, cost }),
        3 => (0..3_usize, any::<bool>(), any::<bool>())
            .prop_map(|(times, again, heard)| Step::Tell { times, again, is_confirmed: heard && times > 0 }),
        1 => Just(Step::Overtaken),
        1 => prop::bool::weighted(0.2).prop_map(|forgets| if forgets { Step::Forget } else { Step::Overtaken }),
    ]
}

/// A node and its Redis, with a wire between them that loses, repeats and delays.
struct World {
    script: DecideScript,
    connection: MultiplexedConnection,
    limits: Limits,
    ledger: Ledger,
    key: Arc<str>,
    window: Option<BudgetWindow>,
    delayed: VecDeque<Report>,
    calls: Vec<Demand>,
    /// In the time of the token bucket; none once it was forgotten.
    backlog: Option<u64>,
    spent: u64,
    now: u64,
}

impl World {
    async fn play(&mut self, step: Step) {
        match step {
            Step::Ask { tokens, cost, is_answer_lost } => {
                let demand = Demand { tokens, cost: NanoUsd(cost) };
                let ledger = std::mem::replace(&mut self.ledger, Ledger::new());
                let awaited = ledger.ask(&self.key, cost, self.window);
                let answer = self.say(awaited.report(), Some(demand)).await;
                assert_eq!(answer.verdict, Verdict::Admitted);
                self.backlog = self.backlog.map(|backlog| backlog + self.time_of(tokens));
                if is_answer_lost {
                    drop(awaited);
                } else {
                    awaited.resolve(Resolution::Admitted, answer.epoch);
                    self.calls.push(demand);
                }
                self.ledger = ledger;
            }
            Step::End { tokens, cost } => {
                let Some(demand) = self.calls.pop() else { return };
                let (used, taken) = (self.time_of(tokens), self.time_of(demand.tokens));
                self.backlog = self.backlog.map(|backlog| backlog + used - taken);
                self.spent += cost;
                let quota = self.limits.tokens.unwrap();
                let tokens = Some(EndedTokens { quota, taken: demand.tokens, used: tokens });
                let ending = Ending {
                    was_admitted_by_redis: true,
                    window: self.window,
                    cost: demand.cost.0,
                    spent: cost,
                    tokens,
                    at: Some(NOW),
                };
                self.ledger.end(&self.key, ending);
            }
            Step::Tell { times, again, is_confirmed } => {
                let ledger = std::mem::replace(&mut self.ledger, Ledger::new());
                let batch = ledger.due(1);
                let mut epochs = Vec::new();
                for (_, report) in batch.reports() {
                    for _ in 0..times {
                        epochs = vec![self.say(report, None).await.epoch];
                    }
                    self.delayed.extend(again.then_some(*report));
                }
                if is_confirmed {
                    batch.confirm(epochs);
                } else {
                    drop(batch);
                }
                self.ledger = ledger;
            }
            Step::Forget => {
                let () = redis::cmd("FLUSHALL").query_async(&mut self.connection).await.unwrap();
                self.backlog = None;
                self.now += 1;
            }
            Step::Overtaken => {
                if let Some(report) = self.delayed.pop_front() {
                    self.say(&report, None).await;
                }
            }
        }
    }

    async fn say(&mut self, report: &Report, demand: Option<Demand>) -> Reply {
        let call = demand.map(|demand| (&self.limits, demand));
        let question = Question { now: Some(self.now), report: Some(report), call, ..question("n") };
        self.script.ask(&mut self.connection, &self.key, &question).await.unwrap()
    }

    fn time_of(&self, tokens: u64) -> u64 {
        self.limits.tokens.unwrap().time_of(tokens)
    }
}

#[test]
fn messages_may_be_lost_repeated_and_overtaken() {
    let Some(server) = RedisServer::start() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let window = Some(window());
    // Requests come without end here; what can be given back is what matters.
    let limits = Limits { requests: RequestQuotas::default(), ..limits() };
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) });
    let outcome = runner.run(&prop::collection::vec(step(), 1..60), |steps| {
        case.set(case.get() + 1);
        let mut world = World {
            script: DecideScript::new(),
            connection: connection.clone(),
            limits: limits.clone(),
            ledger: Ledger::new(),
            key: format!("{{{}}}", case.get()).into(),
            window,
            delayed: VecDeque::new(),
            calls: Vec::new(),
            backlog: Some(0),
            spent: 0,
            now: NOW,
        };
        runtime.block_on(async {
            for step in steps {
                world.play(step).await;
            }
            // In the end everything is said, and what was on its way arrives late.
            world.ledger.repeat_all();
            world.play(Step::Tell { times: 1, again: false, is_confirmed: true }).await;
            while !world.delayed.is_empty() {
                world.play(Step::Overtaken).await;
            }
        });
        let in_flight = world.calls.len() as u64;
        let committed = world.spent + world.calls.iter().map(|call| call.cost.0).sum::<u64>();
        let backlog = world.backlog;
        let answer = runtime.block_on(seen(&world.script, &mut world.connection, &world.key, &world.limits));
        prop_assert_eq!(answer.in_flight, in_flight);
        prop_assert_eq!(answer.committed, committed);
        prop_assert!(backlog.is_none_or(|backlog| answer.tokens.backlog(NOW) == backlog), "{:?} {:?}", answer, backlog);
        Ok(())
    });
    outcome.unwrap();
}
