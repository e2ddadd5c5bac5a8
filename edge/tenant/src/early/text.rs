//! Bytes put together where there is no heap.

/// So many bytes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<const MAX: usize> {
    bytes: [u8; MAX],
    length: usize,
}

impl<const MAX: usize> Text<MAX> {
    pub(super) fn new() -> Text<MAX> {
        Text { bytes: [0; MAX], length: 0 }
    }

    /// Puts more behind it; `None` when there is no room.
    pub(super) fn put(&mut self, more: &[u8]) -> Option<&mut Self> {
        let end = self.length.checked_add(more.len())?;
        self.bytes.get_mut(self.length..end)?.copy_from_slice(more);
        self.length = end;
        Some(self)
    }

    /// Puts a number behind it.
    pub(super) fn number(&mut self, mut number: u64) -> Option<&mut Self> {
        let mut digits = [0; 20];
        let mut first = digits.len();
        for (at, place) in digits.iter_mut().enumerate().rev() {
            *place = b'0' + (number % 10) as u8;
            (number, first) = (number / 10, at);
            if number == 0 {
                break;
            }
        }
        self.put(digits.get(first..)?)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Digits as a number; `None` for anything else, and for what is too large.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let step = |sum: u64, digit: &u8| {
        let value = digit.checked_sub(b'0').filter(|value| *value < 10)?;
        sum.checked_mul(10)?.checked_add(value.into())
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, step) }
}

/// Where one text begins in another.
pub(super) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    text.windows(wanted.len()).position(|part| part.first() == Some(first) && part == wanted)
}
