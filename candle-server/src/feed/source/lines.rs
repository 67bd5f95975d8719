//! One message a line: standard input and files.

use std::path::Path;
use std::time::Duration;

use candle_core::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::{Instant, sleep_until};

use crate::feed::intake::Intake;
use crate::feed::url::Pace;
use crate::message::{Message, Unreadable, decode};

/// The longest line, in bytes; like a frame, ten thousand quotes in one array.
const MAX_LINE_BYTES: usize = 1 << 20;
/// What is read at once, in bytes: a thousand quotes and more for one system call.
const READ_BYTES: usize = 256 << 10;

/// Opens a file of messages, and makes sure that it is one.
///
/// # Errors
/// Whatever the system says, or that it is a directory.
pub fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Reads messages until the input ends.
///
/// # Errors
/// Where the input can't be read on.
pub async fn run(intake: &mut Intake, input: impl AsyncRead + Unpin, pace: Pace) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(READ_BYTES, input);
    let mut block = Vec::new();
    let mut pacer = Pacer::new(pace);
    intake.connected();
    loop {
        let read = reader.fill_buf().await?;
        if read.is_empty() {
            break;
        }
        // Whole lines are taken together, so that their look-ups overlap; the rest of a line waits for more of it.
        block.extend_from_slice(read);
        let length = read.len();
        reader.consume(length);
        let whole = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        take(intake, &block[..whole], &mut pacer).await;
        block.drain(..whole);
        if block.len() > MAX_LINE_BYTES {
            intake.unreadable(Unreadable::Oversize, &block);
            block.clear();
            skip_line(&mut reader).await?;
        }
    }
    take(intake, &block, &mut pacer).await;
    Ok(())
}

/// Throws away the rest of a line.
async fn skip_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<()> {
    loop {
        let read = reader.fill_buf().await?;
        let end = read.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(read.len(), |end| end + 1);
        let is_over = end.is_some() || read.is_empty();
        reader.consume(length);
        if is_over {
            return Ok(());
        }
    }
}

async fn take(intake: &mut Intake, block: &[u8], pacer: &mut Pacer) {
    let lines = || block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    match pacer.pace {
        Pace::Full => {
            intake.frames(lines().map(Ok));
            // Nothing here waits for long, and other tasks share the thread.
            tokio::task::yield_now().await;
        }
        Pace::Times(_) => {
            for line in lines() {
                pacer.wait_for(line).await;
                intake.frames(std::iter::once(Ok(line)));
            }
        }
    }
}

/// Holds messages back until their time has come.
struct Pacer {
    pace: Pace,
    /// The first time in the input, and when it was read.
    first: Option<(Timestamp, Instant)>,
}

impl Pacer {
    const fn new(pace: Pace) -> Self {
        Self { pace, first: None }
    }

    async fn wait_for(&mut self, line: &[u8]) {
        let Pace::Times(speed) = self.pace else { return };
        let mut time = None;
        decode(line, |message| {
            if let Ok(Message::Quote(quote)) = message {
                time = time.or(quote.time);
            }
        });
        let Some(time) = time else { return };
        let (first, began) = *self.first.get_or_insert_with(|| (time, Instant::now()));
        let due = (time.as_micros() - first.as_micros()) as f64 / 1e6 / speed;
        // A time before the first is due at once; one that is centuries away is never waited for.
        if let Some(due) = Duration::try_from_secs_f64(due).ok().and_then(|due| began.checked_add(due)) {
            sleep_until(due).await;
        }
    }
}
