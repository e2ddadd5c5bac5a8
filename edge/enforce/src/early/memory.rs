//! What the compiler takes for granted: to copy, to fill, to compare. A C library chooses among many ways to do so once
//! it knows the processor; before that there is none.
use std::arch::asm;

/// As `memcpy`.
///
/// # Safety
/// As `memcpy`.
#[inline]
pub unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: as promised.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// As `memmove`.
///
/// # Safety
/// As `memmove`.
#[inline]
pub unsafe fn shift(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // Forwards, unless that would overwrite what is still to be read.
    if (to as usize).wrapping_sub(from as usize) >= bytes {
        // SAFETY: as promised.
        return unsafe { copy(to, from, bytes) };
    }
    let last = bytes.wrapping_sub(1);
    // SAFETY: as promised; the direction is put back.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") bytes => _, inout("rdi") to.wrapping_add(last) => _,
            inout("rsi") from.wrapping_add(last) => _, options(nostack));
    }
    to
}

/// As `memset`.
///
/// # Safety
/// As `memset`.
#[inline]
pub unsafe fn fill(to: *mut u8, with: i32, bytes: usize) -> *mut u8 {
    // SAFETY: as promised.
    unsafe {
        asm!("rep stosb", inout("rcx") bytes => _, inout("rdi") to => _, in("al") with as u8,
            options(nostack, preserves_flags));
    }
    to
}

/// As `memcmp`.
///
/// # Safety
/// As `memcmp`.
#[inline]
pub unsafe fn compare(one: *const u8, other: *const u8, bytes: usize) -> i32 {
    let (equal, a, b): (u8, *const u8, *const u8);
    // SAFETY: as promised; the first comparison says that nothing equals nothing.
    unsafe {
        asm!("cmp {equal}, {equal}", "repe cmpsb", "sete {equal}", equal = inout(reg_byte) 0_u8 => equal,
            inout("rcx") bytes => _, inout("rsi") one => a, inout("rdi") other => b,
            options(nostack, readonly));
        if equal == 1 {
            return 0;
        }
        i32::from(*a.wrapping_sub(1)) - i32::from(*b.wrapping_sub(1))
    }
}

/// As `strlen`.
///
/// # Safety
/// As `strlen`.
#[inline]
pub unsafe fn length(of: *const u8) -> usize {
    let left: usize;
    // SAFETY: as promised: it ends with a zero byte.
    unsafe {
        asm!("repne scasb", inout("rcx") usize::MAX => left, inout("rdi") of => _, in("al") 0_u8,
            options(nostack, readonly));
    }
    !left - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_as_the_c_library_does() {
        for bytes in [0, 1, 7, 64, 1000] {
            for (from, to) in [(0, 1024), (512, 0), (3, 3), (0, 5), (5, 0), (0, 999)] {
                let mut ours: Vec<u8> = (0..3000).map(|at| (at % 251) as u8).collect();
                let mut theirs = ours.clone();
                theirs.copy_within(from..from + bytes, to);
                let start = ours.as_mut_ptr();
                // SAFETY: all of it is within.
                unsafe { shift(start.add(to), start.add(from), bytes) };
                assert_eq!(ours, theirs, "{from} {to} {bytes}");
                // SAFETY: as above, and the two are apart.
                unsafe { copy(start.add(2000), start, bytes) };
                theirs.copy_within(0..bytes, 2000);
                assert_eq!(ours, theirs);
                // SAFETY: as above.
                unsafe { fill(start.add(9), 0x1aa, bytes) };
                theirs[9..9 + bytes].fill(0xaa);
                assert_eq!(ours, theirs);
            }
        }
        for (one, other) in
            [("", ""), ("a", "a"), ("a", "b"), ("abc\u{ff}", "abc"), ("same more", "same less")]
        {
            let bytes = one.len().min(other.len());
            // SAFETY: both are as long.
            let order = unsafe { compare(one.as_ptr(), other.as_ptr(), bytes) };
            assert_eq!(
                order.cmp(&0),
                one.as_bytes()[..bytes].cmp(&other.as_bytes()[..bytes]),
                "{one} {other}"
            );
        }
        for text in [c"", c"a", c"some more of it"] {
            // SAFETY: it ends with a zero byte.
            assert_eq!(unsafe { length(text.as_ptr().cast()) }, text.to_bytes().len());
        }
    }
}
