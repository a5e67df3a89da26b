//! `completions` and `man`: what a package installs beside the program, made from the command line itself.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;

pub fn completions_command() -> Command {
    Command::new("completions")
        .about("Print the completion script for a shell")
        .long_about(
            "Prints the script by which a shell completes commands and options of this program.",
        )
        .examples("Example:\n  b24-migration-proxy completions bash > /etc/bash_completion.d/b24-migration-proxy")
        .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("The shell"))
}

pub fn completions(mut root: Command, matches: &ArgMatches) -> Exit {
    let Some(shell) = matches.get_one::<Shell>("shell") else {
        return Err(Failure::usage(
            "name a shell: bash, elvish, fish, powershell or zsh",
        ));
    };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut root, "b24-migration-proxy", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

pub fn man_command() -> Command {
    Command::new("man")
        .about("Print the manual page (roff)")
        .long_about("Prints the manual page, all commands and options in one.")
        .examples(
            "Example:\n  b24-migration-proxy man > /usr/local/share/man/man1/b24-migration-proxy.1",
        )
}

pub fn man(root: &Command) -> Exit {
    let mut page = Vec::new();
    let failed =
        |error: std::io::Error| Failure::found(format!("cannot make the manual page: {error}"));
    clap_mangen::Man::new(root.clone())
        .render(&mut page)
        .map_err(failed)?;
    for verb in root.get_subcommands() {
        let name = format!("b24-migration-proxy {}", verb.get_name());
        page.extend(format!(".SH \"COMMAND {}\"\n", verb.get_name().to_uppercase()).into_bytes());
        let man = clap_mangen::Man::new(verb.clone().name(name.clone()).bin_name(name));
        man.render_synopsis_section(&mut page).map_err(failed)?;
        man.render_description_section(&mut page).map_err(failed)?;
        man.render_options_section(&mut page).map_err(failed)?;
    }
    print(&String::from_utf8_lossy(&page))?;
    Ok(0)
}
