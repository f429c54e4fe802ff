//! The dashboards: what keys do, and what the screen shows for it.
#[path = "shot.rs"]
mod shot;
mod states;
