//! The dashboards: what keys do, and what the screen shows for it.
mod states;
#[path = "shot.rs"]
mod shot;
