//! The dashboards: what keys do, what the screen shows, how the loop ends.

mod anything;
mod attached;
mod control;
mod demo;
mod detached;
mod figures;
mod hands;
mod keys;
mod keys_doc;
mod looping;
mod manners;
mod marks;
mod mouse;
mod pictures;
mod places;
mod preview;
mod pty;
mod questions;
mod screens;
mod served;
mod states;
mod survey;
mod terminal;
mod transfers;
mod undo;
mod unread;
