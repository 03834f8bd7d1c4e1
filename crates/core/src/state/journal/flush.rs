//! Waits for the disk where nobody else has to: what comes after a side effect is in the file at once
//! and on the disk a moment later, while the run goes on.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, JoinHandle};

/// The file of a journal.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) file: File,
    /// The disk refused something that was written.
    failed: AtomicBool,
}

impl Log {
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file, failed: AtomicBool::new(false) })
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits until all that was written is on disk. The system tells of a failure once, so it is
    /// kept for whoever writes next.
    pub(super) fn sync(&self) -> io::Result<()> {
        let synced = self.file.sync_data();
        if synced.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        synced
    }
}

/// A thread that waits for the disk. When this is dropped all that was asked for is done.
#[derive(Debug, Default)]
pub(in crate::state) struct Flusher(Option<(Sender<Arc<Log>>, JoinHandle<()>)>);

impl Flusher {
    /// Sees to it that what was written is on disk soon.
    pub(super) fn soon(&mut self, log: &Arc<Log>) -> io::Result<()> {
        if self.0.is_none() {
            let (sender, receiver) = mpsc::channel();
            let thread = Builder::new().name("journal".to_owned()).spawn(move || work(&receiver));
            self.0 = thread.ok().map(|thread| (sender, thread));
        }
        match &self.0 {
            Some((sender, _)) if sender.send(Arc::clone(log)).is_ok() => Ok(()),
            // Without a thread the run waits.
            _ => log.sync(),
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.0.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// What came meanwhile goes to the disk together.
fn work(asked: &Receiver<Arc<Log>>) {
    while let Ok(first) = asked.recv() {
        let mut logs = vec![first];
        for log in asked.try_iter() {
            if !logs.iter().any(|known| Arc::ptr_eq(known, &log)) {
                logs.push(log);
            }
        }
        for log in logs {
            // Whoever appends next finds out.
            let _ = log.sync();
        }
    }
}
