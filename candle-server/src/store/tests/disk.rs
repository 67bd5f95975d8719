//! A disk in memory that loses what was not synced, fills up, and fails on request.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, StorageBackend};

/// What is lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// The process: what it wrote is with the system.
    OfTheProcess,
    /// The machine: what was not synced is gone.
    OfPower,
}

/// Clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    /// What was written.
    written: Vec<u8>,
    /// Parts of it that differ from what a loss of power leaves: what was there before, newest last.
    unsynced: Vec<(usize, Vec<u8>, usize)>,
    /// How long it may become.
    room: usize,
    is_broken: bool,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self::holding(Vec::new())
    }

    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        let state = State { written: bytes, unsynced: Vec::new(), room: usize::MAX, is_broken: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// What a new process finds after a loss.
    pub(super) fn after(&self, loss: Loss) -> Self {
        let mut state = self.state().clone();
        match loss {
            Loss::OfTheProcess => state.unsynced.clear(),
            Loss::OfPower => {
                for (offset, before, len) in std::mem::take(&mut state.unsynced).into_iter().rev() {
                    state.written.resize(len, 0);
                    state.written[offset..offset + before.len()].copy_from_slice(&before);
                }
            }
        }
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state().written.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.state().written.len()
    }

    /// Lets it become this long and no longer.
    pub(super) fn limit(&self, room: usize) {
        self.state().room = room;
    }

    /// Makes every write fail, or none.
    pub(super) fn break_down(&self) {
        self.state().is_broken = true;
    }

    pub(super) fn repair(&self) {
        self.state().is_broken = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// Notes what was there, so that it can come back.
    fn touch(&mut self, offset: usize, len: usize) {
        let end = (offset + len).min(self.written.len());
        let before = self.written.get(offset..end).unwrap_or_default().to_vec();
        self.unsynced.push((offset.min(self.written.len()), before, self.written.len()));
    }

    fn check(&self, end: usize) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the disk is broken"));
        }
        if end > self.room && end > self.written.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = place(offset);
        let found = start.checked_add(out.len()).and_then(|end| state.written.get(start..end));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut state, len) = (self.state(), place(len));
        state.check(len)?;
        let all = state.written.len();
        state.touch(len.min(all), all);
        state.written.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.check(0)?;
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut state, start) = (self.state(), place(offset));
        let end = start + data.len();
        state.check(end)?;
        state.touch(start, data.len());
        if state.written.len() < end {
            state.written.resize(end, 0);
        }
        state.written[start..end].copy_from_slice(data);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
