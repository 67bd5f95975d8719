//! The built-in demo, at its own pace.

use std::time::Duration;

use candle_core::{Tick, Unlisted};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::demo::{Demo, DemoOptions, DemoQuote};
use super::intake::Intake;

/// How often events that are due are sent: short against what an eye or a test can see.
const STEP: Duration = Duration::from_millis(10);
/// The most events in one step; one that falls behind catches up over the next ones.
const MAX_STEP_EVENTS: usize = 200_000;

/// Plays the demo for ever.
pub async fn run(intake: &mut Intake, options: &DemoOptions) {
    let ids: Vec<String> = (0..options.instruments).map(|number| number.to_string()).collect();
    let mut demo = Demo::new(options, intake.engine().clock.now());
    let began = Instant::now();
    let mut sent: u64 = 0;
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    intake.connected();
    loop {
        steps.tick().await;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
        let due = ((began.elapsed().as_secs_f64() * options.rate) as u64 + 1).saturating_sub(sent);
        let count = usize::try_from(due).unwrap_or(MAX_STEP_EVENTS).min(MAX_STEP_EVENTS);
        let events: Vec<DemoQuote> = demo.by_ref().take(count).collect();
        sent += events.len() as u64;
        let batch: Vec<(&str, Tick)> = events
            .iter()
            .map(|event| {
                let tick = intake.number(Tick::new(event.time, event.price));
                (ids[event.instrument as usize].as_str(), tick)
            })
            .collect();
        intake.record(&batch, Unlisted::List);
    }
}
