//! A folder of its own for every test, and `pvx` in it without anything of the caller's
//! environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

/// A folder with documents, and what `pvx` keeps beside them.
pub(crate) struct Environment {
    folder: TempDir,
}

/// How a run of `pvx` ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Environment {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A command that is ready to run, for tests that need more than [`Environment::pvx`].
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pvx"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).env("PATH", std::env::var("PATH").unwrap());
        command.stdin(std::process::Stdio::null());
        command
    }

    /// Runs `pvx` to its end.
    pub(crate) fn pvx(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().unwrap())
    }

    /// Runs `pvx` on the simulator, whose tasks take no time.
    pub(crate) fn sim(&self, args: &[&str]) -> Run {
        self.pvx(&[args, &["--sim", "--sim-speed", "0"]].concat())
    }

    /// The same with JSON on standard output, which must be exactly one value.
    pub(crate) fn sim_json(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let run = self.sim(&[args, &["--format", "json"]].concat());
        let value: serde_json::Value = serde_json::from_str(&run.stdout)
            .unwrap_or_else(|e| panic!("{e}\n{}\n{}", run.stdout, run.stderr));
        for plan in [&value, &value["plan"]] {
            if plan["actions"].is_array() {
                check_plan(plan);
            }
        }
        (run.code, value)
    }
}

/// Every plan that a test sees is as the schema says.
pub(crate) fn check_plan(plan: &serde_json::Value) {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let file = repository().join("docs/reference/plan.schema.json");
        let schema = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        jsonschema::draft202012::new(&schema).unwrap()
    });
    let wrong: Vec<String> =
        SCHEMA.iter_errors(plan).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl Run {
    /// Nothing that is piped has colours in it.
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_owned()).unwrap();
            assert!(!text.contains('\u{1b}'), "{text:?}");
            text
        };
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Expects an exit code, and shows everything when it is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n-- stdout\n{}\n-- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
