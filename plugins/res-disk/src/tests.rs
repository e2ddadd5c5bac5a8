//! Scratch folders on a real disk: made, measured, limited where a filesystem can, and gone.
use super::*;
use bursar_sdk::LeaseLine;
use std::{fs, io::Write, process::Command};
use tempfile::TempDir;

fn on(root: &Path) -> Scratches {
    let place = Place { root: root.display().to_string(), ..Place::default() };
    Scratches::new(place).expect("a place")
}

fn lease(claim: u64, amount: Amount) -> Lease {
    let line = LeaseLine { resource: "disk".into(), pool: POOL.into(), amount };
    Lease { claim: ClaimId(claim), fence: Fence(claim + 100), lines: vec![line], owner: None }
}

fn folder_of(disk: &mut Scratches, lease: &Lease) -> PathBuf {
    let variables = disk.environment(lease).expect("a path");
    assert_eq!(bursar_sdk::variables_lawful("disk", &variables), Ok(()));
    assert_eq!(variables[0].name, "BURSAR_SCRATCH");
    PathBuf::from(&variables[0].value)
}

fn used(disk: &mut Scratches, claim: u64) -> Option<u64> {
    let all = disk.holdings().expect("a look");
    all.into_iter().find(|holding| holding.claim.0 == claim).expect("it is held").used
}

#[test]
fn a_lease_has_a_folder_that_is_measured_and_goes_with_it() {
    let root = TempDir::new().expect("a folder");
    let (mut disk, lease) = (on(root.path()), lease(7, 1 << 30));
    let found = disk.discover().expect("a look").remove(0);
    let free = room(root.path()).expect("a disk").1;
    assert!(found.capacity > 0 && found.capacity <= free, "{found:?} of {free}");
    disk.enforce(&lease).expect("made");
    disk.enforce(&lease).expect("again is fine");
    let folder = folder_of(&mut disk, &lease);
    fs::write(folder.join("file"), vec![1; 3 << 20]).expect("written");
    assert!(used(&mut disk, 7).is_some_and(|bytes| (3 << 20..4 << 20).contains(&bytes)));
    let proof = disk.release(&lease).expect("gone");
    assert_eq!(proof.evidence, "scratch folder gone with 2 files and folders");
    assert!(!folder.exists() && disk.holdings().expect("a look").is_empty());
    disk.release(&lease).expect("again is fine");
}

#[test]
fn a_driver_that_starts_anew_finds_what_is_left_and_takes_it_away_by_claim() {
    let root = TempDir::new().expect("a folder");
    let (mut before, kept, left) = (on(root.path()), lease(1, 1), lease(2, 1));
    for lease in [&kept, &left] {
        before.enforce(lease).expect("made");
        fs::write(folder_of(&mut before, lease).join("file"), "words").expect("written");
    }
    fs::create_dir(root.path().join("not-ours")).expect("made");
    let mut after = on(root.path());
    after.enforce(&kept).expect("it is there");
    let mut claims: Vec<u64> = after.holdings().expect("a look").iter().map(|held| held.claim.0).collect();
    claims.sort_unstable();
    assert_eq!(claims, [1, 2]);
    after.release(&Lease { fence: Fence(0), ..left }).expect("gone");
    assert_eq!(after.holdings().expect("a look").len(), 1);
    assert!(folder_of(&mut after, &kept).join("file").exists() && root.path().join("not-ours").exists());
}

#[test]
fn a_folder_is_its_owners_alone() {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        eprintln!("skipped: only root gives folders to others");
        return;
    }
    let root = TempDir::new().expect("a folder");
    let mut disk = on(root.path());
    disk.discover().expect("made");
    let lease = Lease { owner: Some(4242), ..lease(7, 1 << 20) };
    disk.enforce(&lease).expect("made");
    disk.enforce(&lease).expect("again is fine");
    let folder = folder_of(&mut disk, &lease);
    let told = fs::metadata(&folder).expect("it is there");
    assert_eq!((told.uid(), told.mode() & 0o777), (4242, 0o700));
    assert_eq!(fs::metadata(root.path()).expect("it is there").mode() & 0o777, 0o711);
    // Nobody gets what somebody else has written.
    fs::write(folder.join("secret"), "x").expect("written");
    assert!(disk.enforce(&Lease { owner: Some(4243), ..lease.clone() }).is_err());
    disk.release(&lease).expect("gone");
}

#[test]
fn what_is_wrong_in_the_config_is_named() {
    let read = |text: &str| Config::read(text).and_then(|config| Scratches::new(config.parse()?)).err();
    let told = |text: &str| read(text).expect(text).message;
    assert!(told(r#"{"root":"here"}"#).contains("\"here\" is no absolute path"));
    assert!(told(r#"{"kept-percent":100}"#).contains("kept-percent 100"));
    assert!(told(r#"{"owner":"../x"}"#).contains("is no name"));
    let nowhere = || Scratches::new(Place::default()).expect("a place");
    assert!(
        nowhere().discover().expect("no room").is_empty() && nowhere().holdings().expect("none").is_empty()
    );
    assert!(nowhere().enforce(&lease(1, 1)).expect_err("nowhere").message.contains("set root"));
}

/// A filesystem of its own that keeps quotas by project; `None` where the kernel, the rights or the tools are missing.
struct Mounted(TempDir);

impl Mounted {
    fn new() -> Option<Mounted> {
        let folder = TempDir::new().ok()?;
        let (image, at) = (folder.path().join("image"), folder.path().join("at"));
        fs::File::create(&image).ok()?.set_len(64 << 20).ok()?;
        fs::create_dir(&at).ok()?;
        let done = |program: &str, args: &[&str]| {
            let status = Command::new(program).args(args).stderr(std::process::Stdio::null()).status();
            status.ok().filter(|status| status.success())
        };
        let (image, at) = (image.to_str()?, at.to_str()?);
        done("mkfs.ext4", &["-q", "-O", "quota,project", "-E", "quotatype=prjquota", image])?;
        done("mount", &["-o", "loop,prjquota", image, at])?;
        Some(Mounted(folder))
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("at/scratch")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path().join("at")).status();
    }
}

#[test]
fn a_filesystem_with_quotas_by_project_holds_a_lease_to_its_room() {
    let Some(mounted) = Mounted::new() else {
        eprintln!("skipped: no filesystem with quotas by project can be mounted here");
        return;
    };
    let (mut disk, lease) = (on(&mounted.root()), Lease { owner: Some(4242), ..lease(7, 4 << 20) });
    assert_eq!(disk.discover().expect("a look").len(), 1);
    disk.enforce(&lease).expect("made");
    let folder = folder_of(&mut disk, &lease);
    // The superuser passes quotas of ext4, so somebody else writes.
    let script = "head -c 8000000 /dev/zero > file";
    let written = Command::new("setpriv")
        .args(["--reuid=4242", "--clear-groups", "sh", "-c", script])
        .current_dir(&folder)
        .status()
        .expect("setpriv");
    assert!(!written.success(), "it was let write more than it holds");
    let bytes = used(&mut disk, 7).expect("the filesystem counts");
    assert!((3 << 20..=4 << 20).contains(&bytes), "{bytes}");
    // A file that is deleted while it is open is counted as well.
    let mut open = fs::File::create(folder.join("open")).expect("made by root");
    open.write_all(&vec![1; 1 << 20]).expect("root passes");
    open.sync_all().expect("synced");
    fs::remove_file(folder.join("file"))
        .and_then(|()| fs::remove_file(folder.join("open")))
        .expect("deleted");
    std::thread::sleep(Duration::from_millis(100));
    assert!(used(&mut disk, 7).expect("counted") >= 1 << 20);
    drop(open);
    disk.release(&lease).expect("gone");
    assert!(disk.holdings().expect("a look").is_empty());
}
