//! Small files of the kernel's, which are made as they are read: read at one go, without asking first how long they are.
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// More than most of them have, in bytes.
const ROOM: usize = 4096;

/// What it says.
///
/// # Errors
/// When there is none, it cannot be read, or it is no text.
pub(crate) fn text(path: impl AsRef<Path>) -> io::Result<String> {
    read(&mut File::open(path)?)
}

/// What an open one says from where it stands.
pub(crate) fn read(file: &mut File) -> io::Result<String> {
    let mut text = String::with_capacity(ROOM);
    // A part of a file is not asked how long it is, and this is all of it.
    file.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_read_however_long_it_is() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for length in [0, 1, ROOM - 1, ROOM, ROOM + 1, 5 * ROOM] {
            let all = "x".repeat(length);
            std::fs::write(file.path(), &all).expect("written");
            assert_eq!(text(file.path()).expect("read"), all);
        }
        std::fs::write(file.path(), [0xff]).expect("written");
        assert_eq!(text(file.path()).expect_err("no text").kind(), io::ErrorKind::InvalidData);
    }
}
