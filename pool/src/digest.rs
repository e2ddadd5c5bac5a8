//! One number for a whole state: equal states have equal digests, on any machine and any day.
use crate::Books;

/// A running digest: FNV-1a over 64-bit words with a final avalanche (Fowler, Noll, Vo; the last
/// step is MurmurHash3's).
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds a word.
    pub fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Adds a string and its length.
    pub fn text(&mut self, text: &str) {
        self.word(text.len() as u64);
        text.bytes().for_each(|byte| self.word(u64::from(byte)));
    }

    /// The number.
    pub fn finish(self) -> u64 {
        let mut word = self.0 ^ self.0 >> 33;
        word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
        word ^ word >> 33
    }
}

impl Books {
    /// Adds everything that the books remember, but for the time: it moves by itself.
    pub fn digest(&self, digest: &mut Digest) {
        self.tables.cells(&mut |cell| digest.word(cell));
        self.nest.iter().for_each(|(claim, nested)| nested.digest(*claim, digest));
        self.counters.iter().for_each(|&count| digest.word(u64::from(count)));
        self.names
            .nodes
            .iter()
            .chain(&self.names.pools)
            .chain(&self.names.labels)
            .for_each(|name| digest.text(name));
        self.names.scopes.iter().for_each(|path| digest.text(path));
        for (&quota, meter) in &self.assured.meters {
            [u64::from(quota), meter.spent, meter.due, meter.rest]
                .into_iter()
                .for_each(|word| digest.word(word));
        }
        self.digest_outstanding(digest);
        self.names.resources.iter().for_each(|spec| digest.text(&spec.name));
        self.digest_shared(digest);
    }
}
