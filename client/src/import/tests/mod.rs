//! The import against real input, malformed input, and an independent reading of the same files.

mod cases;
mod changed;
mod ledger;
mod malformed;
mod missed;
mod official;
mod passed_over;
mod references;
mod small;
mod synthea;

use std::path::{Path, PathBuf};

use super::{ImportError, Options, Summary};

/// A directory of the shared data; `None`, with a word, where it is absent.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if !path.is_dir() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn dry(directory: &Path) -> Result<Summary, ImportError> {
    let options = Options { is_dry_run: true, ..Options::new(directory.to_owned()) };
    run(options)
}

fn run(options: Options) -> Result<Summary, ImportError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(super::run(options))
}

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}
