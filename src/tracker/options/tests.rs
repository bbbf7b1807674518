// SPDX-License-Identifier: MPL-2.0

use clap::CommandFactory;

use super::*;
use crate::tracker::server::Config;

fn read(args: &[&str]) -> Result<Options, String> {
    Options::read(["p2phls-tracker"].iter().chain(args)).map_err(|error| error.to_string())
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn with_file(text: &str, args: &[&str]) -> Result<Options, String> {
    let file = file(text);
    read(&[&["--config", file.path().to_str().unwrap()], args].concat())
}

#[test]
fn defaults_are_those_of_the_library() {
    let options = read(&[]).unwrap();
    let (config, default) = (options.config().unwrap(), Config::default());
    assert_eq!((config.swarms, config.limits), (default.swarms, default.limits));
    assert_eq!((config.access, config.geo), (default.access, default.geo));
}

#[test]
fn the_command_line_goes_before_the_file() {
    let text = "listen = \"127.0.0.1:1\"\nlinks = 9\nmessage-burst = 1.5\nsame-isp = true\n\
                trusted-proxy = [\"10.0.0.0/8\", \"192.0.2.1\"]\norigin = \"https://a.example\"\n";
    let options = with_file(text, &["--links", "10", "--origin", "https://b.example"]).unwrap();
    assert_eq!((options.listen.port(), options.links, options.same_isp), (1, 10, true));
    assert_eq!((options.message_burst, options.trusted_proxy.len()), (1.5, 2));
    assert_eq!(options.origin, ["https://b.example"]);
    assert!(!with_file(text, &["--same-isp=false"]).unwrap().same_isp);
    assert!(read(&["--same-isp"]).unwrap().same_isp);
}

#[test]
fn one_thread_is_enough_without_tls() {
    let threads = |args: &[&str]| read(args).unwrap().threads();
    let tls = ["--tls-certificate", "a.pem", "--tls-key", "b.pem"];
    assert_eq!((threads(&[]), threads(&["--threads", "3"])), (1, 3));
    assert_eq!(threads(&tls), std::thread::available_parallelism().unwrap().get());
    assert_eq!(threads(&[&tls[..], &["--threads", "1"]].concat()), 1);
    assert!(read(&["--threads", "100000"]).is_err());
}

#[test]
fn every_setting_has_a_variable_named_like_it() {
    for argument in Options::command().get_arguments() {
        let name = argument.get_id().as_str();
        if name != "help" && name != "version" {
            let variable = format!("P2PHLS_TRACKER_{}", name.to_uppercase());
            assert_eq!(argument.get_env(), Some(variable.as_ref()), "{name}");
            assert_eq!(argument.get_long(), Some(name.replace('_', "-").as_str()));
        }
    }
}

#[test]
fn mistakes_are_told() {
    for (text, expected) in [
        ("link = 9\n", "no such setting: link"),
        ("config = \"x\"\n", "no such setting: config"),
        ("links = \"many\"\n", "'many'"),
        ("links = 0\n", "0 is not in"),
        ("[links]\nnear = 1\n", "not a value"),
        ("links = \n", "line 1"),
        ("tls-key = \"key.pem\"\n", "--tls-certificate"),
    ] {
        let error = with_file(text, &[]).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(read(&["--config", "/nonexistent"]).unwrap_err().contains("/nonexistent"));
    let secret = file("short\n");
    let options = read(&["--token-secret", secret.path().to_str().unwrap()]).unwrap();
    assert!(options.config().unwrap_err().contains("at least 32"));
}
