//! Where datagrams to send are built: chunks of memory, and the runs that lie in them, as in `sansio/kernel/arena.py`.
//!
//! A chunk that was handed out comes back to a pool when nobody holds it any more, so that steady sending allocates nothing.

use std::sync::{Arc, Mutex, PoisonError};

/// Of one chunk.
pub const CHUNK_BYTES: usize = 256 * 1024;
const MAX_RUN_BYTES: usize = 60_000;
const MAX_RUN_DATAGRAMS: u32 = 64;
const TRAILER_BYTES: usize = 148;
/// Of a burst to many subscribers, so that the next one finds its memory warm.
const MAX_POOLED: usize = 64;

/// Datagrams to one destination that lie end to end, cut every `segment_bytes`.
pub struct Run<P> {
    /// Where they go.
    pub path: Arc<P>,
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// Of all datagrams but the last, which may be shorter.
    pub segment_bytes: usize,
}

type Pool = Arc<Mutex<Vec<Box<[u8]>>>>;

/// A chunk that is handed out: its bytes do not change any more.
pub struct Chunk {
    bytes: Box<[u8]>,
    /// How many were written.
    pub used: usize,
    pool: Pool,
}

impl Chunk {
    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used.min(self.bytes.len())]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < MAX_POOLED {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// One chunk and its runs, in order.
pub struct Batch<P> {
    /// The memory.
    pub chunk: Chunk,
    /// What lies in it.
    pub runs: Vec<Run<P>>,
}

/// Builds datagrams in place and hands them out as batches; `P` says where a datagram goes.
pub struct Arena<P> {
    chunk: Box<[u8]>,
    top: usize,
    finished: Vec<Batch<P>>,
    runs: Vec<Run<P>>,
    open: Option<Run<P>>,
    count: u32,
    pool: Pool,
}

impl<P> Default for Arena<P> {
    fn default() -> Self {
        Arena {
            chunk: new_chunk(),
            top: 0,
            finished: Vec::new(),
            runs: Vec::new(),
            open: None,
            count: 0,
            pool: Pool::default(),
        }
    }
}

impl<P> Arena<P> {
    /// Memory for the next datagram, at least so many bytes and a trailer; none if no chunk has as many.
    pub fn room(&mut self, needed_bytes: usize) -> Option<&mut [u8]> {
        if self.top + needed_bytes + TRAILER_BYTES > CHUNK_BYTES {
            if needed_bytes + TRAILER_BYTES > CHUNK_BYTES {
                return None;
            }
            self.finish_chunk();
        }
        self.chunk.get_mut(self.top..)
    }

    /// The first `size` bytes of the room are a datagram.
    pub fn commit(&mut self, path: &Arc<P>, size: usize) {
        let end = self.top + size;
        if let Some(open) = &mut self.open {
            if Arc::ptr_eq(path, &open.path)
                && size <= open.segment_bytes
                && self.count < MAX_RUN_DATAGRAMS
                && end - open.start <= MAX_RUN_BYTES
            {
                self.count += 1;
                self.top = end;
                open.end = end;
                if size < open.segment_bytes {
                    self.close_run();
                }
                return;
            }
        }
        self.close_run();
        self.open = Some(Run { path: path.clone(), start: self.top, end, segment_bytes: size });
        self.count = 1;
        self.top = end;
    }

    /// A datagram made elsewhere.
    pub fn add(&mut self, path: &Arc<P>, data: &[u8]) {
        if let Some(room) = self.room(data.len()) {
            room[..data.len()].copy_from_slice(data);
            self.commit(path, data.len());
        }
    }

    /// What was committed since the last call, in order.
    pub fn poll(&mut self) -> Vec<Batch<P>> {
        if self.open.is_some() || !self.runs.is_empty() {
            self.finish_chunk();
        }
        std::mem::take(&mut self.finished)
    }

    fn close_run(&mut self) {
        self.runs.extend(self.open.take());
    }

    fn finish_chunk(&mut self) {
        self.close_run();
        let runs = std::mem::take(&mut self.runs);
        if runs.is_empty() {
            self.top = 0;
            return;
        }
        let pooled = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = std::mem::replace(&mut self.chunk, pooled.unwrap_or_else(new_chunk));
        let chunk = Chunk { bytes, used: self.top, pool: self.pool.clone() };
        self.finished.push(Batch { chunk, runs });
        self.top = 0;
    }
}

fn new_chunk() -> Box<[u8]> {
    vec![0; CHUNK_BYTES].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sizes_to_one_path_are_one_run() {
        let mut arena = Arena::default();
        let (one, two) = (Arc::new(1), Arc::new(2));
        for size in [10, 10, 5, 10] {
            arena.add(&one, &vec![0; size]);
        }
        arena.add(&two, &[0; 10]);
        let batches = arena.poll();
        let runs: Vec<_> = batches[0].runs.iter().map(|run| (*run.path, run.start, run.end)).collect();
        assert_eq!(runs, [(1, 0, 25), (1, 25, 35), (2, 35, 45)]);
        assert_eq!(batches[0].chunk.bytes().len(), 45);
        assert!(arena.poll().is_empty());
    }

    #[test]
    fn a_full_chunk_is_finished() {
        let mut arena = Arena::default();
        let path = Arc::new(());
        for _ in 0..300 {
            arena.add(&path, &[7; 1200]);
        }
        let batches = arena.poll();
        assert_eq!(batches.iter().map(|batch| batch.chunk.used).sum::<usize>(), 300 * 1200);
        assert!(batches.len() == 2);
        assert!(arena.room(CHUNK_BYTES).is_none());
    }
}
