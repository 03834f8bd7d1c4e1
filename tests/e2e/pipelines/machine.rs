//! The machine that runs jobs: a `PATH` with `pvx`, a fresh folder for every job, and a note of
//! every argument that `curl` and `pvx` were called with.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub(crate) struct Machine {
    folder: TempDir,
}

/// How a script ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// Standard output and error, in order.
    pub(crate) log: String,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["bin", "home", "jobs", "artifacts"] {
            std::fs::create_dir(machine.path(folder)).unwrap();
        }
        machine.watched("pvx", Path::new(env!("CARGO_BIN_EXE_pvx")));
        machine.watched("curl", &found("curl").unwrap());
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program whose arguments are written down, as everybody on a machine can read them.
    fn watched(&self, name: &str, program: &Path) {
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"{name} $*\" >> '{}'\nexec '{}' \"$@\"\n",
            self.path("arguments").display(),
            program.display()
        );
        let path = self.path("bin").join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// All that `curl` and `pvx` were called with.
    pub(crate) fn arguments(&self) -> String {
        std::fs::read_to_string(self.path("arguments")).unwrap_or_default()
    }

    /// A folder that is not there yet, for one job.
    pub(crate) fn job_folder(&self) -> PathBuf {
        tempfile::Builder::new().tempdir_in(self.path("jobs")).unwrap().keep()
    }

    /// A folder for the artifacts of one run.
    pub(crate) fn artifact_folder(&self) -> PathBuf {
        tempfile::Builder::new().tempdir_in(self.path("artifacts")).unwrap().keep()
    }

    /// All artifacts, one after the other.
    pub(crate) fn artifacts(&self) -> String {
        let mut folders = vec![self.path("artifacts")];
        let mut all = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
                }
            }
        }
        all
    }

    /// A program with nothing of the caller's environment.
    pub(crate) fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.current_dir(folder).env_clear().env("PATH", path).env("HOME", self.path("home"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
        command
    }

    /// Runs a script as the forges do: the first command that fails ends it, in pipes too.
    pub(crate) fn script(
        &self,
        folder: &Path,
        variables: &BTreeMap<String, String>,
        script: &str,
    ) -> Ended {
        let file = self.path("script");
        // One stream, as a log is.
        std::fs::write(&file, format!("exec 2>&1\n{script}")).unwrap();
        let mut command = self.command("bash", folder);
        command.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(&file).envs(variables);
        let output = command.output().unwrap();
        let log = String::from_utf8(output.stdout).unwrap();
        Ended { code: output.status.code().unwrap_or(-1), log }
    }
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether the tests can run here. Where a program is missing they say so and are skipped; with
/// `PVX_TEST_PIPELINES` set they fail instead.
#[expect(clippy::print_stderr, reason = "who skips a test says so")]
pub(crate) fn is_ready() -> bool {
    let missing: Vec<_> =
        ["bash", "curl", "git", "jq"].into_iter().filter(|name| found(name).is_none()).collect();
    let must = std::env::var_os("PVX_TEST_PIPELINES").is_some();
    assert!(missing.is_empty() || !must, "not installed: {missing:?}");
    if !missing.is_empty() {
        eprintln!("skipped, not installed: {missing:?}");
    }
    missing.is_empty()
}
