//! The program: arguments in, exit status out. Everything it does lives in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
