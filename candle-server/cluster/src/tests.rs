//! Helpers of this crate's tests.

pub(crate) mod paused_time;
