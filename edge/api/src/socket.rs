//! Makes the unix socket so that nobody else can stand in its place, nor reach it without right.
use crate::Error;
use rustix::{
    fs::{Gid, Mode, chmod, chown},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
    process::geteuid,
};
use std::{
    fs::{DirBuilder, Metadata, metadata, remove_file, symlink_metadata},
    io::{Error as Io, ErrorKind},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

/// Connections that the kernel keeps for us until we accept them, first come, first served. So few that who
/// comes last is heard within 100 ms on a slow machine too, be it to administer; who blocks waits for room,
/// who does not knocks again.
const BACKLOG: i32 = 128;
/// Bytes of a socket's path: the kernel takes one more, which then has no end, and clients refuse that.
const PATH_BYTES_MAX: usize = 107;
/// Others may write.
const WORLD_WRITABLE: u32 = 0o002;
/// Only owners may take away.
const STICKY: u32 = 0o1000;

/// Binds and listens at `path`: mode 0600, or 0660 for members of `group` where one is given. The
/// folder is made with mode 0700 (0750 with a group) where it is missing; one that stands there must
/// be ours, or root's with the sticky bit. A socket that nobody answers on is replaced.
///
/// # Errors
/// [`Error`] with the path in it: somebody answers there already, something else stands in the way,
/// the folder is not safe, or the system refused.
pub fn bind_unix(path: &Path, group: Option<u32>) -> Result<UnixListener, Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && path.file_name().is_some());
    let folder = folder.ok_or_else(|| Error::Path { path: path.into() })?;
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        return Err(Error::Long { path: path.into(), bytes, most: PATH_BYTES_MAX });
    }
    make_folder(folder, group)?;
    clear(path)?;
    bound(path, group)
}

/// Binds where nothing is any more, as [`bind_unix`] did; takes nothing away.
pub(crate) fn bind_anew(path: &Path, group: Option<u32>) -> Result<UnixListener, Error> {
    if let Some(folder) = path.parent() {
        make_folder(folder, group)?;
    }
    bound(path, group)
}

fn bound(path: &Path, group: Option<u32>) -> Result<UnixListener, Error> {
    let failed = |what| move |errno: Errno| system(path, what, errno.into());
    let address = SocketAddrUnix::new(path).map_err(failed("use it as an address"))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed("make a socket"))?;
    bind(&socket, &address).map_err(failed("bind"))?;
    // The right comes before listening: until then nobody can connect, whatever the umask says.
    if let Some(group) = group {
        chown(path, None, Some(Gid::from_raw(group))).map_err(failed("give it to the group"))?;
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    chmod(path, Mode::from_raw_mode(mode)).map_err(failed("set its mode"))?;
    listen(&socket, BACKLOG).map_err(failed("listen"))?;
    Ok(UnixListener::from(socket))
}

fn make_folder(folder: &Path, group: Option<u32>) -> Result<(), Error> {
    match metadata(folder) {
        Ok(found) => check_folder(folder, &found),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mode = if group.is_some() { 0o750 } else { 0o700 };
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(folder)
                .map_err(|e| system(folder, "make the folder", e))?;
            if let Some(group) = group {
                let given = chown(folder, None, Some(Gid::from_raw(group)));
                given.map_err(|errno| system(folder, "give the folder to the group", errno.into()))?;
            }
            Ok(())
        }
        Err(error) => Err(system(folder, "look at the folder", error)),
    }
}

fn check_folder(folder: &Path, found: &Metadata) -> Result<(), Error> {
    let unsafe_because = |why| Err(Error::Folder { path: folder.into(), why });
    let sticky = found.mode() & STICKY != 0;
    if !found.is_dir() {
        unsafe_because("it is no folder")
    } else if found.uid() != geteuid().as_raw() && !(found.uid() == 0 && sticky) {
        unsafe_because("it belongs to another user")
    } else if found.mode() & WORLD_WRITABLE != 0 && !sticky {
        unsafe_because("everybody may write to it")
    } else {
        Ok(())
    }
}

/// Takes a socket away that nobody answers on; no harm is done where there is none.
///
/// # Errors
/// [`Error`] with the path in it: somebody answers there, it is no socket of ours, or the system refused.
pub fn clear(path: &Path) -> Result<(), Error> {
    let found = match symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(path, "look at it", error)),
    };
    if !found.file_type().is_socket() {
        return Err(Error::InTheWay { path: path.into(), why: "it is no socket" });
    }
    if found.uid() != geteuid().as_raw() {
        return Err(Error::InTheWay { path: path.into(), why: "it belongs to another user" });
    }
    match UnixStream::connect(path) {
        // Only a refused connection proves that nobody listens; a full backlog, for one, does not.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            remove_file(path).map_err(|error| system(path, "take the stale socket away", error))
        }
        _ => Err(Error::Live { path: path.into() }),
    }
}

fn system(path: &Path, what: &'static str, source: Io) -> Error {
    Error::System { path: path.into(), what, said: source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, Permissions, create_dir, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_socket_is_private_and_a_place_that_others_can_change_is_refused() {
        let scratch = tempfile::TempDir::new().expect("a folder");
        let path = scratch.path().join("made/sock");
        let listener = bind_unix(&path, None).expect("bound");
        let mode = |path: &Path| metadata(path).expect("it is there").mode() & 0o777;
        assert_eq!((mode(&path), mode(&scratch.path().join("made"))), (0o600, 0o700));
        assert!(matches!(bind_unix(&path, None), Err(Error::Live { .. })), "somebody answers there");
        drop(listener);
        drop(bind_unix(&path, None).expect("nobody answers there any more"));

        let long = |bytes: usize| {
            let room = bytes - scratch.path().as_os_str().len() - "//sock".len();
            scratch.path().join("x".repeat(room)).join("sock")
        };
        for bytes in [108, 200] {
            assert!(matches!(bind_unix(&long(bytes), None), Err(Error::Long { .. })), "{bytes}");
            assert!(!long(bytes).parent().expect("a folder").exists(), "nothing was made");
        }
        let _longest = bind_unix(&long(107), None).expect("bound");
        UnixStream::connect(long(107)).expect("whoever wants can connect");

        let open = scratch.path().join("open");
        create_dir(&open).expect("made");
        set_permissions(&open, Permissions::from_mode(0o777)).expect("set");
        assert!(matches!(bind_unix(&open.join("sock"), None), Err(Error::Folder { .. })));
        let file = scratch.path().join("file");
        drop(File::create(&file).expect("made"));
        assert!(matches!(bind_unix(&file, None), Err(Error::InTheWay { .. })));
        let link = scratch.path().join("link");
        symlink(&path, &link).expect("made");
        assert!(matches!(bind_unix(&link, None), Err(Error::InTheWay { .. })), "a link is no socket");
    }
}
