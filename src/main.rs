//! The program: everything is in the library, beginning with its command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    cdex_gateway::cli::run()
}
