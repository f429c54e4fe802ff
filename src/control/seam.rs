//! The seam between screens and engines: an engine is sampled, told, and handed effects. Which one it is, and in which
//! process, is behind it.

use std::future::Future;

use tokio::sync::mpsc;

use crate::app::{Effect, Event, Sample};

/// What a screen shows and hands effects to.
pub trait Engine {
    /// The engine at this moment.
    fn sample(&mut self) -> Sample;
    /// Carries an effect out without waiting; what comes of it is sent to `answers`, which is let go of once nothing more
    /// will come.
    fn apply(&mut self, effect: Effect, answers: &mpsc::Sender<Event>);
    /// Waits until the engine tells something: an event for the screen's state, or `None` for what is in the log and in
    /// the next sample. Nothing is lost when this is cancelled.
    fn told(&mut self) -> impl Future<Output = Option<Event>> + Send;
}
