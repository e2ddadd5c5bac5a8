//! Project quotas: what a folder and all that is made below it may take, kept by the filesystem itself (ext4, XFS and
//! F2FS, where they are mounted with `prjquota`).
#![allow(unsafe_code)]
use rustix::ioctl::{Opcode, opcode};
use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd},
};

/// Quotas by project: `PRJQUOTA` of `linux/quota.h`.
const PROJECT: u32 = 2;
/// `Q_XGETQSTATV` of `linux/dqblk_xfs.h`: what of quotas is on.
const STATE: u32 = 0x5808;
/// Of its flags: projects are held to their limits.
const ENFORCED: u16 = 1 << 5;
/// `FS_XFLAG_PROJINHERIT` of `linux/fs.h`: what is made in a folder belongs to its project.
const INHERIT: u32 = 0x200;
/// Bytes of what limits are counted in: `QIF_DQBLKSIZE`.
const BLOCK_BYTES: u64 = 1024;

/// `struct fsxattr` of `linux/fs.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    pad: [u8; 8],
}

/// `struct fs_quota_statv` of `linux/dqblk_xfs.h`: only its head is read.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct State {
    version: i8,
    pad: u8,
    flags: u16,
    rest: [u64; 24],
}

/// Whether the filesystem of a folder holds projects to their limits. Its own superuser passes those of ext4.
pub fn projects_enforced(folder: &impl AsFd) -> bool {
    let mut state = State { version: 1, ..State::default() };
    quota(folder, STATE, 0, &mut state).is_ok() && state.flags & ENFORCED != 0
}

/// Makes a folder and what will be made in it a project, that may take so many bytes.
///
/// # Errors
/// When the filesystem keeps no such quotas, or we lack the right.
pub fn limit_project(folder: &impl AsFd, project: u32, bytes: u64) -> io::Result<()> {
    let mut attributes = Attributes::default();
    attribute(folder, opcode::read::<Attributes>(b'X', 31), &mut attributes)?;
    if attributes.project != project || attributes.flags & INHERIT == 0 {
        attributes.project = project;
        attributes.flags |= INHERIT;
        attribute(folder, opcode::write::<Attributes>(b'X', 32), &mut attributes)?;
    }
    set_limit(folder, project, bytes)
}

/// Takes the limit of a project away; `folder` may be any on the same filesystem.
///
/// # Errors
/// As [`limit_project`].
pub fn free_project(folder: &impl AsFd, project: u32) -> io::Result<()> {
    set_limit(folder, project, 0)
}

/// The bytes that a project takes: files that are open still though they were deleted count as well.
///
/// # Errors
/// As [`limit_project`].
pub fn project_bytes(folder: &impl AsFd, project: u32) -> io::Result<u64> {
    // SAFETY: all of it is numbers, for which zero is a value.
    let mut block: libc::dqblk = unsafe { mem::zeroed() };
    quota(folder, libc::Q_GETQUOTA as u32, project, &mut block)?;
    Ok(block.dqb_curspace)
}

fn set_limit(folder: &impl AsFd, project: u32, bytes: u64) -> io::Result<()> {
    // SAFETY: all of it is numbers, for which zero is a value.
    let mut block: libc::dqblk = unsafe { mem::zeroed() };
    block.dqb_bhardlimit = bytes.div_ceil(BLOCK_BYTES);
    block.dqb_valid = libc::QIF_BLIMITS;
    quota(folder, libc::Q_SETQUOTA as u32, project, &mut block)
}

fn attribute(folder: &impl AsFd, code: Opcode, attributes: &mut Attributes) -> io::Result<()> {
    // SAFETY: the kernel reads or writes one `struct fsxattr` there, which `Attributes` is laid out as.
    let told = unsafe { libc::ioctl(folder.as_fd().as_raw_fd(), code as _, &raw mut *attributes) };
    if told == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `quotactl_fd(2)`, which knows a filesystem by any file on it; `T` is what the command reads or writes.
fn quota<T>(folder: &impl AsFd, command: u32, project: u32, argument: &mut T) -> io::Result<()> {
    let (folder, command) = (folder.as_fd().as_raw_fd(), command << 8 | PROJECT);
    // SAFETY: each of the three callers passes what its command reads or writes, which is not kept.
    let told = unsafe { libc::syscall(libc::SYS_quotactl_fd, folder, command, project, &raw mut *argument) };
    if told == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
