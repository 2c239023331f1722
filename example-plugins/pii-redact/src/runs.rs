//! A stream of bytes, cut into runs of one class whatever its chunks were. A run is judged when it has ended, so what
//! spans the border of two chunks is seen whole; what is longer than any match passes.

use alloc::vec::Vec;

/// What may belong to a match, how long that may be, and what becomes of a run.
pub struct Pattern {
    pub class: fn(u8) -> bool,
    pub longest: usize,
    /// Appends the run as it is to go on.
    pub judge: fn(run: &[u8], mask: &[u8], out: &mut Vec<u8>),
}

/// One pattern on its way through a body.
pub struct Runs {
    pattern: &'static Pattern,
    held: Vec<u8>,
    /// The run under way is longer than any match; the rest of it passes.
    too_long: bool,
}

impl Runs {
    pub fn new(pattern: &'static Pattern) -> Self {
        Self { pattern, held: Vec::new(), too_long: false }
    }

    /// What goes on of a chunk and of what was held back before it. After the last one nothing is held.
    pub fn pass(&mut self, chunk: &[u8], last: bool, mask: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len() + self.held.len());
        let mut rest = chunk;
        while !rest.is_empty() {
            let belongs = (self.pattern.class)(rest[0]);
            let end = rest.iter().position(|&byte| (self.pattern.class)(byte) != belongs).unwrap_or(rest.len());
            let (same, after) = rest.split_at(end);
            match belongs {
                true => self.hold(same, &mut out),
                false => {
                    self.end_run(mask, &mut out);
                    out.extend_from_slice(same);
                }
            }
            rest = after;
        }
        if last {
            self.end_run(mask, &mut out);
        }
        out
    }

    fn hold(&mut self, part: &[u8], out: &mut Vec<u8>) {
        if !self.too_long && self.held.len() + part.len() > self.pattern.longest {
            self.too_long = true;
            out.append(&mut self.held);
        }
        match self.too_long {
            true => out.extend_from_slice(part),
            false => self.held.extend_from_slice(part),
        }
    }

    fn end_run(&mut self, mask: &[u8], out: &mut Vec<u8>) {
        self.too_long = false;
        (self.pattern.judge)(&self.held, mask, out);
        self.held.clear();
    }
}
