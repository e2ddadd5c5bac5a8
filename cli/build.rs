//! Links the front with a C library of its own, where there is one: what `bursar run` starts is compared with a shell,
//! and looking up shared libraries takes as long as a fifth of that. Its own addresses are fixed then, as a Go program's
//! are: to put others into three thousand places touches as many pages as all the rest of a short command. Where the
//! archives are not installed the front is linked as any other program.
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Libraries that every program is linked with, and the archives that stand for each.
const LIBRARIES: [(&str, &[&str]); 7] = [
    ("c", &["libc.a", "libgcc.a", "libgcc_eh.a"]),
    ("gcc_s", &["libgcc_eh.a", "libgcc.a"]),
    ("util", &["libutil.a"]),
    ("rt", &["librt.a"]),
    ("pthread", &["libpthread.a"]),
    ("m", &["libm.a"]),
    ("dl", &["libdl.a"]),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(early)");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    let native = env::var("TARGET").ok().is_some_and(|target| is("HOST", &target));
    if !native || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    let Some(folder) = env::var_os("OUT_DIR").map(|out| PathBuf::from(out).join("archives")) else { return };
    if stand_ins(&folder).is_some() {
        println!("cargo:rustc-link-arg-bin=bursar=-static");
        println!("cargo:rustc-link-arg-bin=bursar=-no-pie");
        println!("cargo:rustc-link-arg-bin=bursar=-L{}", folder.display());
        if is("CARGO_CFG_TARGET_ARCH", "x86_64") {
            // It has to be the first, and then that of the C library.
            println!("cargo:rustc-link-arg-bin=bursar=-Wl,--entry=bursar_early");
            // Two pieces of memory instead of four: each is set up, passed on to the child and taken away in its turn.
            println!("cargo:rustc-link-arg-bin=bursar=-Wl,--no-rosegment,-z,norelro");
            println!("cargo:rustc-cfg=early");
        }
    }
}

/// Writes for each library a linker script of its archives, which is found before the shared one of that name; `None`
/// where one is missing.
fn stand_ins(folder: &Path) -> Option<()> {
    fs::create_dir_all(folder).ok()?;
    for (library, archives) in LIBRARIES {
        let archives: Vec<String> = archives.iter().map(|name| archive(name)).collect::<Option<_>>()?;
        let script = format!("GROUP({})\n", archives.join(" "));
        fs::write(folder.join(format!("lib{library}.a")), script).ok()?;
    }
    Some(())
}

/// Where the C compiler has an archive.
fn archive(name: &str) -> Option<String> {
    let output = Command::new("cc").arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    // One that is not there is told by its bare name.
    path.is_absolute().then(|| path.canonicalize().ok()).flatten()?.to_str().map(str::to_owned)
}
