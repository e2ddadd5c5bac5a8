//! How a command ends: with an exit code of the contract, its reason on standard error and in the JSON.
use bursar_interface::Reason;
use bursar_wire::{ErrorBody, Failure, exit_code};
use std::path::Path;

/// What a command comes to.
pub type Outcome = Result<(), Failed>;

/// Why a command did not do what it should.
#[derive(Debug)]
pub struct Failed {
    /// As it stands in JSON.
    pub error: ErrorBody,
    /// The exit code.
    pub code: u8,
    /// The document that was asked for is out already, and says it.
    pub shown: bool,
}

impl Failed {
    /// The command line itself is wrong.
    pub fn usage(message: impl Into<String>) -> Failed {
        Failed::of(Reason::BadRequest, message)
    }

    /// A reason that the daemon might have given.
    pub fn of(reason: Reason, message: impl Into<String>) -> Failed {
        let (reason, code) = (reason.name().to_owned(), exit_code(reason));
        Failed {
            error: ErrorBody { reason, message: message.into(), hint: String::new(), retry_after_ms: None },
            code,
            shown: false,
        }
    }

    /// Adds what would be right.
    pub fn hint(mut self, hint: impl Into<String>) -> Failed {
        self.error.hint = hint.into();
        self
    }

    /// Adds in which file it is.
    pub fn of_file(mut self, file: &Path) -> Failed {
        self.error.message = format!("{}: {}", file.display(), self.error.message);
        self
    }

    /// The document that was asked for is out already: there is only one.
    pub fn shown(mut self) -> Failed {
        self.shown = true;
        self
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Failed {
        Failed { code: failure.exit_code(), error: failure.problem().error, shown: false }
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Failed {
        let error = ErrorBody {
            reason: "Failed".into(),
            message: format!("{error:#}"),
            hint: String::new(),
            retry_after_ms: None,
        };
        Failed { error, code: bursar_wire::EXIT_FAILED, shown: false }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        anyhow::Error::from(error).into()
    }
}
