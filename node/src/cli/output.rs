//! Printing that a closed pipe does not break: whoever reads the first lines of an answer (`| head`) has what it wanted.
//!
//! The macros take the place of the standard ones in the modules behind this one, since those panic; so none is forgotten.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// As the standard macro, without its panic.
macro_rules! println {
    () => { $crate::cli::output::write(format_args!("\n")) };
    ($($part:tt)*) => { $crate::cli::output::write(format_args!("{}\n", format_args!($($part)*))) };
}

/// As the standard macro, without its panic.
macro_rules! print {
    ($($part:tt)*) => { $crate::cli::output::write(format_args!($($part)*)) };
}

/// As the standard macro, without its panic.
macro_rules! eprintln {
    ($($part:tt)*) => { $crate::cli::output::complain(format_args!($($part)*)) };
}

/// Prints. Nobody reading is no error: the command ends as it would, and its exit code stays true.
pub fn write(text: Arguments<'_>) {
    if let Err(error) = std::io::stdout().lock().write_fmt(text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        complain(format_args!("yilian-node: the output cannot be written: {error}"));
        std::process::exit(1);
    }
}

/// Prints a line on standard error. Where that cannot be written, there is nowhere left to say so.
pub fn complain(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
