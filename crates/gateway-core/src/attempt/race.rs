//! Hedging: when an answer is late, a second attempt is made elsewhere, and the first content wins.
//!
//! After Dean and Barroso, "The Tail at Scale" (2013). Only models that ask for it are hedged. The attempts run inside the
//! call's own future, so whatever ends the call ends them, and the loser is cancelled by being dropped.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use gateway_config::{Hedge, HedgeDelay};
use gateway_resilience::Verdict;
use tokio::time::{Instant, Sleep, sleep};

use super::Sending;
use super::course::Course;
use super::exchange::{Attempt, Finished};
use crate::clock;
use crate::settle::{MAX_RUNNING, Settlement};

/// How others run beside an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hedging {
    /// How long content may take before there is another.
    after: Duration,
    /// How many others there may be.
    most: u32,
}

/// How others run beside this attempt; not at all if the model is not hedged, or the body can be sent only once.
pub(super) fn hedging(course: &Course<'_, '_>, first: &Attempt<'_>, sending: Sending<'_>) -> Option<Hedging> {
    let hedge = course.leg.hedge().filter(|_| sending.outgoing.is_whole())?;
    Some(Hedging { after: delay(hedge, course, first.target)?, most: hedge.max })
}

/// Runs an attempt, and others beside it if it is slow.
pub(super) async fn run<'a>(
    Hedging { after, most }: Hedging,
    course: &mut Course<'_, 'a>,
    first: Attempt<'a>,
    sending: Sending<'_>,
    settlement: &mut Settlement,
) -> Finished<'a> {
    let began = clock::now();
    let hedges_left = (most as usize).min(MAX_RUNNING - 1);
    let mut race = Race { runners: Vec::with_capacity(1 + hedges_left), after, hedges_left };
    race.start(first, sending);
    let finished = race.run(course, sending, settlement).await;
    settlement.cancel_attempts(Some(finished.attempt.number));
    settlement.note_wait(clock::now().saturating_duration_since(began));
    finished
}

/// How long content may take; none as long as too little is known of the target to say.
fn delay(hedge: Hedge, course: &Course<'_, '_>, target: usize) -> Option<Duration> {
    match hedge.after {
        HedgeDelay::Fixed(after) => Some(after),
        HedgeDelay::Quantile(share) => course.leg.health(target)?.quantile(share, clock::now().into_std()),
    }
}

async fn finish<'a>(mut attempt: Attempt<'a>, sending: Sending<'_>) -> Finished<'a> {
    let result = attempt.run(sending).await;
    Finished { attempt, result }
}

/// Attempts beside each other.
struct Race<'s, 'a> {
    runners: Vec<Runner<'s, 'a>>,
    /// How long content may take before there is another.
    after: Duration,
    /// How many more there may be.
    hedges_left: usize,
}

/// One of them, at its target.
struct Runner<'s, 'a> {
    target: usize,
    began: Instant,
    attempt: Pin<Box<dyn Future<Output = Finished<'a>> + Send + 's>>,
}

impl<'s, 'a: 's> Race<'s, 'a> {
    fn start(&mut self, attempt: Attempt<'a>, sending: Sending<'s>) {
        let (target, began) = (attempt.target, attempt.began);
        self.runners.push(Runner { target, began, attempt: Box::pin(finish(attempt, sending)) });
    }

    async fn run(
        mut self,
        course: &mut Course<'_, 'a>,
        sending: Sending<'s>,
        settlement: &mut Settlement,
    ) -> Finished<'a> {
        let mut alarm = pin!(sleep(self.after));
        loop {
            let is_timed = self.hedges_left > 0;
            if let Some(finished) = poll_fn(|cx| self.poll(cx, is_timed.then_some(alarm.as_mut()))).await {
                if let Some(decided) = self.referee(finished, course, settlement) {
                    self.tell_losers(course);
                    return decided;
                }
                continue;
            }
            alarm.as_mut().reset(clock::now() + self.after);
            self.hedges_left -= 1;
            match course.hedge(|target| self.runners.iter().any(|it| it.target == target), settlement) {
                Some(attempt) => self.start(attempt, sending),
                None => self.hedges_left = 0,
            }
        }
    }

    /// Whether a finished attempt decides the race. One that failed does not as long as another is running.
    fn referee(
        &self,
        finished: Finished<'a>,
        course: &mut Course<'_, 'a>,
        settlement: &mut Settlement,
    ) -> Option<Finished<'a>> {
        let Err(failure) = &finished.result else { return Some(finished) };
        let decides = matches!(Verdict::on(failure.outcome()), Verdict::GiveUp | Verdict::NextModel);
        if decides || self.runners.is_empty() {
            return Some(finished);
        }
        course.conclude(finished.attempt, failure, settlement);
        None
    }

    /// Whoever was given more time than the model gives and has shown nothing is slow, and its target has to know: it would
    /// never find out otherwise, as its attempts are cut off before they fail.
    fn tell_losers(&self, course: &Course<'_, 'a>) {
        let now = clock::now();
        for loser in &self.runners {
            let elapsed = now.saturating_duration_since(loser.began);
            if let Some(health) = course.leg.health(loser.target).filter(|_| elapsed >= self.after) {
                health.outpaced(elapsed, now.into_std());
            }
        }
    }

    /// Waits for an attempt to finish; none if the alarm goes off before.
    fn poll(&mut self, cx: &mut Context<'_>, alarm: Option<Pin<&mut Sleep>>) -> Poll<Option<Finished<'a>>> {
        for index in 0..self.runners.len() {
            if let Poll::Ready(finished) = self.runners[index].attempt.as_mut().poll(cx) {
                drop(self.runners.swap_remove(index));
                return Poll::Ready(Some(finished));
            }
        }
        match alarm.map(|alarm| alarm.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}
