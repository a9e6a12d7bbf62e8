//! The command line: one file for each command. A command prints for a person: results to standard output,
//! problems to standard error, one line each; its exit code says whether it worked.

mod check_config;
mod client;
mod deliveries;
mod demo;
mod migrate;
mod redeliver;
mod request;
mod serve;
mod settings;
mod status;
mod submit;
mod upload;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use settings::SettingsArgs;

/// Moves clinical documents: FHIR (Da Vinci CDex) and tus (CDC DEX) in front, durable delivery behind.
#[derive(Debug, Parser)]
#[command(name = "cdex-gateway", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the main job in a temporary folder and check every byte; needs no configuration.
    Demo(demo::DemoArgs),
    /// Run the gateway.
    Serve(SettingsArgs),
    /// Say whether the configuration is sound.
    CheckConfig(SettingsArgs),
    /// Bring the schema of the database up to date.
    Migrate(SettingsArgs),
    /// Ask a partner for data or attachments, through a gateway that runs.
    Request(Box<request::RequestArgs>),
    /// Send a file as an attachment to a claim or prior authorization.
    Submit(Box<submit::SubmitArgs>),
    /// Say what is known of an upload or of a request.
    Status(status::StatusArgs),
    /// List deliveries: those that were given up, or others.
    Deliveries(deliveries::DeliveriesArgs),
    /// Deliver again: one upload, those of a CSV file, or all that were given up.
    Redeliver(redeliver::RedeliverArgs),
    /// Upload files to a tus server, and go on where an earlier run was cut off.
    Upload(Box<upload::UploadArgs>),
}

/// What a command ends with; the text is for the operator.
type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(settings) => serve::run(settings),
        Command::CheckConfig(settings) => check_config::run(settings),
        Command::Migrate(settings) => migrate::run(settings),
        Command::Request(args) => request::run(&args),
        Command::Submit(args) => submit::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Deliveries(args) => deliveries::run(&args),
        Command::Redeliver(args) => redeliver::run(&args),
        // It tells of each file itself, and has an exit code for what is worth another run.
        Command::Upload(args) => return upload::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, nobody is there to be told.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `command` on the threads it needs and waits for those it leaves behind.
fn block_on<T>(command: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(command);
    // A thread that hangs on a dead disk must not keep a stopped program alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    Ok(done)
}

/// Prints a line of a result.
fn print(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_declared_soundly() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
