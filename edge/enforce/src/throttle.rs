//! How fast a cell may read and write: by v2's `io.max`, else by v1's throttling, which reaches reads and what is
//! written directly, and not what the kernel writes back later. The limit is of each disk, each way.
use crate::{Cell, groups::Group};
use std::{fs, io, path::Path};

/// Where the kernel lists its disks.
const DISKS: &str = "/sys/block";
/// How the names of those begin that are memory or another disk under another name.
const NONE: [&str; 4] = ["loop", "ram", "zram", "nbd"];

impl Cell {
    /// Lets it read and write so many bytes a second.
    ///
    /// # Errors
    /// Names the file that could not be written.
    pub(crate) fn throttle(&self, bytes: u64) -> io::Result<()> {
        for disk in disks(Path::new(DISKS)) {
            if let Some(group) = self.v2_group("io") {
                slow(group, &[("io.max", format!("{disk} rbps={bytes} wbps={bytes}"))])?;
            } else if let Some(group) = self.v1_group("blkio") {
                let files = ["blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"];
                slow(group, &files.map(|file| (file, format!("{disk} {bytes}"))))?;
            }
        }
        Ok(())
    }
}

fn slow(group: &Group, lines: &[(&str, String)]) -> io::Result<()> {
    lines.iter().try_for_each(|(file, line)| group.write(file, line))
}

/// The numbers of the disks that have any room, as `254:0`.
fn disks(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let real = entries.filter(|entry| {
        let name = entry.file_name();
        !NONE.iter().any(|start| name.to_string_lossy().starts_with(start))
    });
    let number = |disk: fs::DirEntry| {
        let text = |file: &str| fs::read_to_string(disk.path().join(file)).ok();
        let size: u64 = text("size")?.trim().parse().ok()?;
        (size > 0).then(|| text("dev").map(|number| number.trim().to_owned()))?
    };
    let mut disks: Vec<String> = real.filter_map(number).collect();
    disks.sort();
    disks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_those_that_have_room_of_their_own() {
        let folder = std::env::temp_dir().join(format!("bursar-disks-{}", std::process::id()));
        for (name, dev, size) in
            [("vda", "254:0", "9"), ("loop0", "7:0", "9"), ("sr0", "11:0", "0"), ("sda", "8:0", "1")]
        {
            let disk = folder.join(name);
            fs::create_dir_all(&disk).expect("made");
            fs::write(disk.join("dev"), format!("{dev}\n")).expect("written");
            fs::write(disk.join("size"), format!("{size}\n")).expect("written");
        }
        assert_eq!(disks(&folder), ["254:0", "8:0"]);
        fs::remove_dir_all(folder).expect("away");
    }
}
