//! The dashboards: what keys do, what the screen shows, how the loop ends.

mod keys;
mod looping;
mod screens;
mod states;
