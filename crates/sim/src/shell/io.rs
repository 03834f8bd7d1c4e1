//! Where a command reads from and writes to.

use std::sync::{Arc, Mutex, PoisonError};

use super::fs::spool::Spool;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// A piece of output on its way to the client: on which stream, and what.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) error: bool,
    pub(crate) bytes: Vec<u8>,
}

/// An end that can be written to.
#[derive(Clone)]
pub(crate) enum Sink {
    Client(UnboundedSender<Chunk>, bool),
    Buffer(Arc<Mutex<Vec<u8>>>),
    /// A file that is written anew.
    File(Arc<Mutex<Spool>>),
    Nowhere,
}

impl Sink {
    pub(crate) fn buffer() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        (Self::Buffer(Arc::clone(&buffer)), buffer)
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        match self {
            Self::Client(to, error) => {
                let _ = to.send(Chunk { error: *error, bytes: bytes.to_vec() });
            }
            Self::Buffer(buffer) => {
                buffer.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            }
            Self::File(spool) => {
                spool.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
            }
            Self::Nowhere => {}
        }
    }

    pub(crate) fn text(&self, text: &str) {
        self.write(text.as_bytes());
    }

    pub(crate) fn line(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }
}

/// What is in a buffer, which is left empty.
pub(crate) fn taken(buffer: &Mutex<Vec<u8>>) -> Vec<u8> {
    std::mem::take(&mut *buffer.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Standard input: what was read already, and where more comes from.
#[derive(Default)]
pub(crate) struct Input {
    kept: Vec<u8>,
    from: Option<UnboundedReceiver<Vec<u8>>>,
}

/// The most bytes of standard input that a command reads.
const LIMIT: usize = 128 << 20;

impl Input {
    pub(crate) fn of(bytes: Vec<u8>) -> Stdin {
        Arc::new(tokio::sync::Mutex::new(Self { kept: bytes, from: None }))
    }

    pub(crate) fn from(receiver: UnboundedReceiver<Vec<u8>>) -> Stdin {
        Arc::new(tokio::sync::Mutex::new(Self { kept: Vec::new(), from: Some(receiver) }))
    }

    async fn more(&mut self) -> bool {
        let Some(from) = &mut self.from else { return false };
        match from.recv().await {
            Some(bytes) if self.kept.len() < LIMIT => {
                self.kept.extend(bytes);
                true
            }
            _ => {
                self.from = None;
                false
            }
        }
    }

    /// All that is left.
    pub(crate) async fn all(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.kept)
    }

    /// A line with its end; none at the end of input.
    pub(crate) async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.kept.iter().position(|byte| *byte == b'\n') {
                let rest = self.kept.split_off(at + 1);
                return Some(std::mem::replace(&mut self.kept, rest));
            }
            if !self.more().await {
                let rest = std::mem::take(&mut self.kept);
                return (!rest.is_empty()).then_some(rest);
            }
        }
    }

    /// Some bytes, not more than so many; none at the end of input.
    pub(crate) async fn some(&mut self, most: usize) -> Vec<u8> {
        if self.kept.is_empty() && !self.more().await {
            return Vec::new();
        }
        let rest = self.kept.split_off(most.min(self.kept.len()));
        std::mem::replace(&mut self.kept, rest)
    }

    /// So many bytes, fewer at the end of input.
    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.kept.len() < count && self.more().await {}
        let at = count.min(self.kept.len());
        let rest = self.kept.split_off(at);
        std::mem::replace(&mut self.kept, rest)
    }
}

/// Standard input, shared by the commands of a script.
pub(crate) type Stdin = Arc<tokio::sync::Mutex<Input>>;

/// The streams of a command.
#[derive(Clone)]
pub(crate) struct Io {
    pub(crate) stdin: Stdin,
    pub(crate) out: Sink,
    pub(crate) err: Sink,
}

impl Io {
    /// All of standard input.
    pub(crate) async fn read(&self) -> Vec<u8> {
        self.stdin.lock().await.all().await
    }
}
