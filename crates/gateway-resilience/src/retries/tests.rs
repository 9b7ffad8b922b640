use proptest::prelude::*;

use super::*;
use crate::Backoff;

const MILLI: Duration = Duration::from_millis(1);

fn policy(max_retries: u32) -> RetryPolicy {
    RetryPolicy { max_retries, ..RetryPolicy::default() }
}

/// The next step if nothing cools down, after the longest backoff.
fn next(retries: &Retries, targets: usize) -> Option<(usize, u128)> {
    next_cooling(retries, &vec![0; targets])
}

/// The next step, with cool-downs in milliseconds, after the longest backoff.
fn next_cooling(retries: &Retries, cool_downs: &[u32]) -> Option<(usize, u128)> {
    let step = retries.next(0..cool_downs.len(), |target| MILLI * cool_downs[target], u64::MAX);
    step.map(|step| (step.target, step.delay.as_millis()))
}

/// Makes the next attempt and has it end so.
fn go(retries: &mut Retries, cool_downs: &[u32], verdict: Verdict, has_other_credential: bool) {
    let step = retries.next(0..cool_downs.len(), |target| MILLI * cool_downs[target], u64::MAX).unwrap();
    retries.begin(step);
    retries.conclude(step.target, verdict, has_other_credential);
}

fn fail(retries: &mut Retries, targets: usize) {
    go(retries, &vec![0; targets], Verdict::Retry, false);
}

#[test]
fn targets_are_tried_in_rounds_with_a_backoff_between_them() {
    let mut retries = Retries::new(policy(5));
    let mut found = Vec::new();
    while let Some(step) = next(&retries, 2) {
        found.push(step);
        fail(&mut retries, 2);
    }
    assert_eq!(found, [(0, 0), (1, 0), (0, 200), (1, 0), (0, 400), (1, 0)]);
    assert_eq!(retries.attempts(), 6);
}

#[test]
fn without_retries_there_is_one_attempt() {
    let mut retries = Retries::new(policy(0));
    assert_eq!((next(&retries, 3), retries.attempts()), (Some((0, 0)), 0));
    fail(&mut retries, 3);
    assert_eq!((next(&retries, 3), retries.attempts()), (None, 1));
}

#[test]
fn nothing_to_rank_is_nothing_to_try() {
    assert_eq!(next(&Retries::new(policy(2)), 0), None);
    assert_eq!(Retries::new(policy(2)).next([64, usize::MAX].into_iter(), |_| Duration::ZERO, 0), None);
    let last = Retries::new(policy(2)).next([64, 63].into_iter(), |_| Duration::ZERO, 0);
    assert_eq!(last.map(|step| step.target), Some(63));
}

#[test]
fn a_verdict_that_decides_the_call_or_the_model_ends_it() {
    for verdict in [Verdict::Commit, Verdict::PassThrough, Verdict::NextModel, Verdict::GiveUp] {
        let mut retries = Retries::new(policy(5));
        go(&mut retries, &[0, 0], verdict, true);
        assert_eq!(next(&retries, 2), None, "{verdict:?}");
    }
}

#[test]
fn a_barred_target_is_not_tried_again() {
    let mut retries = Retries::new(policy(5));
    go(&mut retries, &[0, 0], Verdict::NextTarget, true);
    fail(&mut retries, 2);
    assert_eq!(next(&retries, 2), Some((1, 200)));
    go(&mut retries, &[0, 0], Verdict::NextTarget, false);
    assert_eq!(next(&retries, 2), None);
}

#[test]
fn a_refused_target_is_left_out_until_another_attempt() {
    let mut retries = Retries::new(policy(5));
    retries.refuse(0);
    assert_eq!(next(&retries, 2), Some((1, 0)));
    retries.refuse(1);
    assert_eq!((next(&retries, 2), retries.attempts()), (None, 0));
    let mut retries = Retries::new(policy(5));
    retries.refuse(0);
    fail(&mut retries, 2);
    assert_eq!(next(&retries, 2), Some((0, 0)));
}

#[test]
fn a_cool_down_does_not_refuse_a_call() {
    let retries = Retries::new(policy(0));
    assert_eq!(next_cooling(&retries, &[60_000, 90_000]), Some((0, 0)));
}

#[test]
fn after_the_first_attempt_cool_downs_are_waited_for_or_avoided() {
    let mut retries = Retries::new(policy(5));
    fail(&mut retries, 1);
    assert_eq!(next_cooling(&retries, &[60_000, 90_000, 0]), Some((2, 0)), "not the ranking alone");
    assert_eq!(next_cooling(&retries, &[60_000, 10_000]), Some((1, 10_000)));
    assert_eq!(next_cooling(&retries, &[60_000, 10_001]), None, "longer than the policy waits");
    assert_eq!(next_cooling(&retries, &[150, 300]), Some((0, 200)), "a round waits for its backoff too");
    assert_eq!(next_cooling(&retries, &[250, 300]), Some((0, 250)));
    assert_eq!(next_cooling(&retries, &[0, 100]), Some((1, 100)), "whatever is sooner");
    assert_eq!(next_cooling(&retries, &[0, 200]), Some((0, 200)), "the better one of two");
}

#[test]
fn another_credential_comes_behind_other_targets_and_is_not_counted() {
    let mut retries = Retries::new(policy(1));
    go(&mut retries, &[0, 0], Verdict::Rotate, true);
    assert_eq!(next(&retries, 2), Some((1, 0)));
    fail(&mut retries, 2);
    assert_eq!((next(&retries, 2), retries.attempts()), (Some((0, 0)), 2));
    assert_eq!(next_cooling(&retries, &[1, 0]), None, "not while it cools down, for the retries are used up");
    go(&mut retries, &[0, 0], Verdict::Rotate, true);
    assert_eq!((next(&retries, 2), retries.attempts()), (Some((0, 0)), 2));
    go(&mut retries, &[0, 0], Verdict::Rotate, false);
    assert_eq!((next(&retries, 2), retries.attempts()), (None, 2));
}

#[test]
fn a_rate_limit_without_another_credential_is_waited_for() {
    let mut retries = Retries::new(policy(1));
    go(&mut retries, &[0], Verdict::Rotate, false);
    assert_eq!(next_cooling(&retries, &[3_000]), Some((0, 3_000)));
}

#[test]
fn a_hedge_counts_as_tried_and_not_as_a_retry() {
    let mut retries = Retries::new(policy(2));
    let step = retries.next(0..3, |_| Duration::ZERO, 0).unwrap();
    retries.begin(step);
    retries.refuse(2);
    retries.hedge(1);
    retries.conclude(0, Verdict::Retry, false);
    retries.conclude(1, Verdict::Retry, false);
    assert_eq!((next(&retries, 3), retries.attempts()), (Some((2, 0)), 1), "also no longer refused");
    fail(&mut retries, 3);
    assert_eq!(next(&retries, 3), Some((0, 200)));
}

/// One turn of a call: what it finds, and what becomes of the step that it is given.
#[derive(Debug, Clone)]
struct Turn {
    /// In milliseconds.
    cool_downs: Vec<u32>,
    random: u64,
    is_refused: bool,
    verdict: Verdict,
    hedge: Option<usize>,
}

fn turn() -> impl Strategy<Value = Turn> {
    let cool_down = prop_oneof![6 => Just(0_u32), 3 => 1_u32..600, 1 => Just(10_000), 1 => Just(10_001)];
    let verdict = prop_oneof![
        6 => Just(Verdict::Retry),
        4 => Just(Verdict::Rotate),
        1 => Just(Verdict::NextTarget),
        1 => prop_oneof![Just(Verdict::NextModel), Just(Verdict::GiveUp)],
    ];
    let hedge = prop_oneof![4 => Just(None), 1 => (0_usize..6).prop_map(Some)];
    let cool_downs = prop::collection::vec(cool_down, 6);
    (cool_downs, any::<u64>(), prop::bool::weighted(0.2), verdict, hedge).prop_map(
        |(cool_downs, random, is_refused, verdict, hedge)| Turn { cool_downs, random, is_refused, verdict, hedge },
    )
}

/// What the rules say of the next step, told from what has happened.
#[derive(Debug)]
struct Rules {
    policy: RetryPolicy,
    ranking: Vec<usize>,
    is_over: bool,
    counted: u32,
    round: u32,
    tried: Vec<usize>,
    refused: Vec<usize>,
    barred: Vec<usize>,
    rotating: Vec<usize>,
    /// For each target, how many credentials the call has not used there.
    unused_keys: Vec<usize>,
}

impl Rules {
    fn new(policy: RetryPolicy, ranking: Vec<usize>, keys: Vec<usize>) -> Self {
        let (tried, refused, barred, rotating) = (vec![], vec![], vec![], vec![]);
        let unused_keys = keys;
        Self { policy, ranking, is_over: false, counted: 0, round: 0, tried, refused, barred, rotating, unused_keys }
    }

    /// Checks a step against the rules, or that there is rightly none. Says whether it counts as a retry.
    fn check(&self, step: Option<Step>, turn: &Turn) -> Result<bool, TestCaseError> {
        let cool_down = |target: usize| MILLI * turn.cool_downs[target];
        let is_option = |it: &usize| !self.is_over && !self.barred.contains(it) && !self.refused.contains(it);
        let options: Vec<usize> = self.ranking.iter().copied().filter(is_option).collect();
        let found = step.map(|step| (step.target, step.delay));
        let now = |target: Option<usize>| target.map(|target| (target, Duration::ZERO));
        if self.counted == 0 {
            prop_assert_eq!(found, now(options.first().copied()));
            return Ok(true);
        }
        let has_retries = self.counted <= self.policy.max_retries;
        let is_ready = |it: &usize| cool_down(*it).is_zero();
        let fresh = options.iter().copied().find(|it| has_retries && is_ready(it) && !self.tried.contains(it));
        if fresh.is_some() {
            prop_assert_eq!(found, now(fresh));
            return Ok(true);
        }
        let rotation = options.iter().copied().find(|it| is_ready(it) && self.rotating.contains(it));
        if rotation.is_some() {
            prop_assert_eq!(found, now(rotation));
            return Ok(false);
        }
        let backoff = self.policy.backoff.delay(self.round, turn.random);
        let delay = |it: usize| if self.tried.contains(&it) { cool_down(it).max(backoff) } else { cool_down(it) };
        let in_time = options.iter().copied().filter(|it| cool_down(*it) <= self.policy.max_retry_after);
        let soonest = in_time.filter(|_| has_retries).map(|it| (it, delay(it))).min_by_key(|(_, delay)| *delay);
        prop_assert_eq!(found, soonest);
        Ok(true)
    }

    fn begin(&mut self, target: usize, counts: bool) {
        if counts {
            if self.tried.contains(&target) {
                self.round += 1;
                self.tried.clear();
            }
            self.counted += 1;
        }
        self.go_to(target);
    }

    fn go_to(&mut self, target: usize) {
        self.tried.push(target);
        self.refused.clear();
        self.rotating.retain(|it| *it != target);
        self.unused_keys[target] = self.unused_keys[target].saturating_sub(1);
    }

    /// Whether the target has another credential.
    fn conclude(&mut self, target: usize, verdict: Verdict) -> bool {
        let has_other = self.unused_keys[target] > 0;
        match verdict {
            Verdict::NextTarget => self.barred.push(target),
            Verdict::Rotate if has_other => self.rotating.push(target),
            Verdict::Retry | Verdict::Rotate => {}
            _ => self.is_over = true,
        }
        has_other
    }
}

fn any_policy() -> impl Strategy<Value = RetryPolicy> {
    (0_u32..8, 0_u64..400, 0_u64..1_000).prop_map(|(max_retries, base, max)| {
        let backoff = Backoff { base: Duration::from_millis(base), max: Duration::from_millis(max) };
        RetryPolicy { max_retries, backoff, max_retry_after: Duration::from_secs(10) }
    })
}

/// Some of six targets in some order.
fn any_ranking() -> impl Strategy<Value = Vec<usize>> {
    (0_usize..=6)
        .prop_flat_map(|len| Just((0..6).collect::<Vec<_>>()).prop_shuffle().prop_map(move |all| all[..len].to_vec()))
}

proptest! {
    #[test]
    fn every_step_is_the_one_that_the_rules_give(
        policy in any_policy(),
        ranking in any_ranking(),
        keys in prop::collection::vec(1_usize..4, 6),
        turns in prop::collection::vec(turn(), 1..60),
    ) {
        let mut retries = Retries::new(policy);
        let mut rules = Rules::new(policy, ranking.clone(), keys.clone());
        let mut rotations = [0; 6];
        for turn in turns {
            let step = retries.next(ranking.iter().copied(), |it| MILLI * turn.cool_downs[it], turn.random);
            let counts = rules.check(step, &turn)?;
            let Some(step) = step else { break };
            if turn.is_refused {
                retries.refuse(step.target);
                rules.refused.push(step.target);
                continue;
            }
            retries.begin(step);
            rules.begin(step.target, counts);
            rotations[step.target] += usize::from(!counts);
            let beside = turn.hedge.filter(|it| !rules.tried.contains(it));
            if let Some(target) = beside {
                retries.hedge(target);
                rules.go_to(target);
            }
            for target in beside.into_iter().chain([step.target]) {
                retries.conclude(target, turn.verdict, rules.conclude(target, turn.verdict));
            }
            prop_assert_eq!(retries.attempts(), rules.counted);
            prop_assert!(rules.counted <= 1 + policy.max_retries);
            for target in 0..6 {
                prop_assert!(rotations[target] < keys[target], "a credential is used once");
            }
        }
    }

    #[test]
    fn it_ends_however_everything_fails(
        policy in any_policy(),
        keys in prop::collection::vec(1_usize..4, 1..7),
        verdicts in prop::collection::vec(prop_oneof![Just(Verdict::Retry), Just(Verdict::Rotate)], 64),
    ) {
        let mut retries = Retries::new(policy);
        let mut unused = keys.clone();
        let most = 1 + policy.max_retries as usize + keys.iter().map(|keys| keys - 1).sum::<usize>();
        let mut made = 0;
        while let Some(step) = retries.next(0..keys.len(), |_| Duration::ZERO, 0) {
            made += 1;
            prop_assert!(made <= most);
            retries.begin(step);
            unused[step.target] = unused[step.target].saturating_sub(1);
            retries.conclude(step.target, verdicts[made % verdicts.len()], unused[step.target] > 0);
        }
        prop_assert!(made > policy.max_retries as usize, "and not before the retries are used up");
    }
}
