//! Where a passphrase comes from: a file, an environment variable, or a prompt at the terminal. Unless told, from
//! [`VARIABLE`] where that is set, and otherwise from a prompt.

use crate::durable;
use age::secrecy::ExposeSecret as _;
pub use age::secrecy::SecretString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The variable that holds the passphrase where nothing else is told.
pub const VARIABLE: &str = "YILIAN_PASSPHRASE";
/// The text of the source that is used unless told.
pub const DEFAULT: &str = "default";
/// Most bytes of a passphrase.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;
/// Fewest characters of a passphrase that something new is sealed under.
pub const PASSPHRASE_CHARACTERS_MIN: usize = 12;

/// Where to take a passphrase from. As text: `file:PATH`, `env:NAME`, `prompt`, or `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The only line of a file; neither the line's end nor a byte order mark before it belongs to it.
    File(PathBuf),
    /// The value of an environment variable.
    Environment(String),
    /// Typed at the terminal, without showing it.
    Prompt {
        /// What to ask for, such as `Passphrase for gateway.key`.
        question: String,
        /// Ask twice and compare: for a new file, whose passphrase nothing else would check.
        confirm: bool,
    },
    /// [`VARIABLE`] where it is set, otherwise a prompt where there is a terminal.
    Default {
        /// As of [`PassphraseSource::Prompt`].
        question: String,
        /// As of [`PassphraseSource::Prompt`].
        confirm: bool,
    },
}

impl PassphraseSource {
    /// The same source; if it prompts, with this question.
    #[must_use]
    pub fn asking(self, question: String, confirm: bool) -> Self {
        match self {
            Self::Prompt { .. } => Self::Prompt { question, confirm },
            Self::Default { .. } => Self::Default { question, confirm },
            Self::File(_) | Self::Environment(_) => self,
        }
    }

    /// Whether it gives its passphrase, or none, without asking anybody.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::File(_) | Self::Environment(_) => true,
            Self::Prompt { .. } => false,
            Self::Default { .. } => std::env::var_os(VARIABLE).is_some(),
        }
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The source is none of the four forms.
    #[error("{text:?} is not a source of a passphrase: give file:PATH, env:NAME, prompt or default")]
    Source {
        /// What was given.
        text: String,
    },
    /// The file cannot be read.
    #[error("cannot read the passphrase: {0}")]
    File(#[from] durable::FileError),
    /// The passphrase, or the file it is in, is not UTF-8 text.
    #[error("the passphrase is not UTF-8 text")]
    NotText,
    /// The file has more than one line.
    #[error("the passphrase has more than one line: leave one")]
    Lines,
    /// There is no such variable.
    #[error(
        "the environment variable {name} is not set: export it, or name another source: file:PATH, or prompt at a terminal"
    )]
    Unset {
        /// Its name.
        name: String,
    },
    /// Nothing was told, and there is nobody to ask.
    #[error(
        "no passphrase: {VARIABLE} is not set, and there is no terminal to ask at; export it, or name a source such \
         as file:PATH or prompt (--passphrase of a command, node.passphrase of a node's configuration)"
    )]
    NobodyToAsk,
    /// Nothing was given.
    #[error("the passphrase is empty")]
    Empty,
    /// It is too easily guessed.
    #[error(
        "the passphrase has fewer than {PASSPHRASE_CHARACTERS_MIN} characters: choose a longer one, such as five random words"
    )]
    TooShort,
    /// It is longer than the bound.
    #[error("the passphrase has more than {PASSPHRASE_BYTES_MAX} bytes")]
    TooLong,
    /// The terminal cannot be read.
    #[error("cannot ask for the passphrase: {0}; without a terminal use file:PATH or env:NAME")]
    Prompt(std::io::Error),
    /// The two entries differ.
    #[error("the two passphrases differ: try again")]
    Differ,
}

impl FromStr for PassphraseSource {
    type Err = PassphraseError;

    fn from_str(text: &str) -> Result<Self, PassphraseError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            None if text == "prompt" => {
                Ok(Self::Prompt { question: "Passphrase".to_owned(), confirm: false })
            }
            None if text == DEFAULT => {
                Ok(Self::Default { question: "Passphrase".to_owned(), confirm: false })
            }
            _ => Err(PassphraseError::Source { text: text.to_owned() }),
        }
    }
}

/// Takes the passphrase from its source.
///
/// # Errors
/// See [`PassphraseError`]; none of them repeats any of the passphrase.
pub fn passphrase(source: &PassphraseSource) -> Result<SecretString, PassphraseError> {
    let text = match source {
        PassphraseSource::File(path) => {
            // Room for a line's end and a byte order mark above the bound.
            let bytes = Zeroizing::new(durable::read(path, PASSPHRASE_BYTES_MAX as u64 + 5)?);
            let text = std::str::from_utf8(&bytes).map_err(|_| PassphraseError::NotText)?;
            // Editors on Windows begin a text with a byte order mark, which nobody sees and nobody means.
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let line = text.strip_suffix('\n').unwrap_or(text);
            Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
        PassphraseSource::Environment(name) => {
            variable(name)?.ok_or_else(|| PassphraseError::Unset { name: name.clone() })?
        }
        PassphraseSource::Prompt { question, confirm } => ask(question, *confirm)?,
        PassphraseSource::Default { question, confirm } => match variable(VARIABLE)? {
            Some(text) => text,
            // A program that is fed its input has nobody before it who could type.
            None if !std::io::stdin().is_terminal() => return Err(PassphraseError::NobodyToAsk),
            None => ask(question, *confirm)?,
        },
    };
    check(&text)?;
    Ok(SecretString::from(text.as_str()))
}

/// Takes the passphrase for something new from its source: it must be long enough to stand guesses.
///
/// # Errors
/// As [`passphrase`]; [`PassphraseError::TooShort`].
pub fn new_passphrase(source: &PassphraseSource) -> Result<SecretString, PassphraseError> {
    let text = passphrase(source)?;
    if text.expose_secret().chars().count() < PASSPHRASE_CHARACTERS_MIN {
        return Err(PassphraseError::TooShort);
    }
    Ok(text)
}

fn variable(name: &str) -> Result<Option<Zeroizing<String>>, PassphraseError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(PassphraseError::NotText),
    }
}

fn check(text: &str) -> Result<(), PassphraseError> {
    if text.is_empty() {
        return Err(PassphraseError::Empty);
    }
    if text.len() > PASSPHRASE_BYTES_MAX {
        return Err(PassphraseError::TooLong);
    }
    if text.contains(['\n', '\r']) {
        return Err(PassphraseError::Lines);
    }
    Ok(())
}

fn ask(question: &str, confirm: bool) -> Result<Zeroizing<String>, PassphraseError> {
    let read = |prompt: String| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(PassphraseError::Prompt)
    };
    let first = read(format!("{question}: "))?;
    if confirm && *read(format!("{question}, once more: "))? != *first {
        return Err(PassphraseError::Differ);
    }
    Ok(first)
}
