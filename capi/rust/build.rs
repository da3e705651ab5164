//! Finds libanabranch for cargo, with nothing but the standard library:
//!
//!  1. in the folder ANABRANCH_LIB_DIR, when that is set;
//!  2. in the tree that this crate lies in: the newest libanabranch.a of its build folders, which needs no path at run
//!     time;
//!  3. by pkg-config.
//!
//! A crate that depends on this one gets the folder as DEP_ANABRANCH_LIB_DIR in its own build script.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};
use std::time::SystemTime;

fn main() {
    for name in ["ANABRANCH_LIB_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let folder = match given().or_else(in_tree).or_else(by_pkg_config) {
        Some(folder) => folder,
        None => {
            eprintln!(
                "libanabranch was not found. Set ANABRANCH_LIB_DIR to its folder, or install it where pkg-config looks, \
                 or build it in the tree: cmake --preset release && cmake --build --preset release --target \
                 anabranch_capi_static"
            );
            exit(1);
        }
    };
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:lib_dir={}", folder.display());
    if !folder.join("libanabranch.so").exists() && folder.join("libanabranch.a").exists() {
        println!("cargo:rustc-link-lib=static=anabranch");
        println!("cargo:rustc-link-lib=dylib=stdc++");
    } else {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display()); // for this crate's own tests
    }
}

fn given() -> Option<PathBuf> {
    env::var_os("ANABRANCH_LIB_DIR").map(PathBuf::from)
}

/// Folder of the newest archive below `build` of the repository.
fn in_tree() -> Option<PathBuf> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).parent()?.parent()?.to_path_buf();
    if !root.join("capi/anabranch.h").exists() {
        return None;
    }
    let built = |entry: std::fs::DirEntry| -> Option<(SystemTime, PathBuf)> {
        let archive = entry.path().join("capi/static/libanabranch.a");
        let time = archive.metadata().ok()?.modified().ok()?;
        println!("cargo:rerun-if-changed={}", archive.display());
        Some((time, archive.parent()?.to_path_buf()))
    };
    let mut found: Vec<_> = root.join("build").read_dir().ok()?.flatten().filter_map(built).collect();
    found.sort();
    found.pop().map(|(_, folder)| folder)
}

fn by_pkg_config() -> Option<PathBuf> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(program).args(["--variable=libdir", "anabranch"]).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && !folder.is_empty()).then(|| PathBuf::from(folder))
}
